#include "engine/operators/resample.h"

#include <algorithm>
#include <cmath>

namespace laconic::engine {

namespace {

// Weight of an item at a distance from the place between the items.
template <typename Kernel>
Taps taps_of(const Node& node, const Coordinates& coordinates, std::int64_t reach,
             const Kernel& kernel) {
  Taps taps;
  taps.size = coordinates.size;
  taps.out_size = coordinates.out_size;
  taps.count = 2 * reach;
  const bool inside_only = node.integer("exclude_outside", 0) != 0;
  for (std::int64_t place = 0; place < taps.out_size; ++place) {
    const double source = coordinates.source(place);
    const double last = static_cast<double>(taps.size - 1);
    taps.outside.push_back(coordinates.crops() && (source < 0 || source > last));
    const double base = std::isnan(source) ? 0 : std::ceil(std::clamp(source, -1e9, 1e9)) - 1;
    const double ratio = source - base;  // in (0, 1]
    double total = 0;
    std::vector<double> weights;
    for (std::int64_t k = 1 - reach; k <= reach; ++k) {
      const auto item = static_cast<std::int64_t>(base) + k;
      const bool inside = item >= 0 && item < taps.size;
      weights.push_back(inside || !inside_only ? kernel(static_cast<double>(k) - ratio) : 0);
      total += weights.back();
      taps.places.push_back(std::clamp(item, std::int64_t{0}, taps.size - 1));
    }
    for (double weight : weights) taps.weights.push_back(total != 0 ? weight / total : 0);
  }
  return taps;
}

// Against aliasing, the kernel of a smaller output is as wide as the distance of its items.
double width_of(const Node& node, const Coordinates& coordinates) {
  return node.integer("antialias", 0) != 0 ? std::min<double>(coordinates.scale, 1) : 1;
}

// How many items on either side a kernel sees that reaches to `radius` at full size.
std::int64_t reach_of(double radius, double width) {
  return -static_cast<std::int64_t>(std::floor(-radius / width));
}

}  // namespace

Coordinates::Coordinates(const Node& node)
    : mode(node.text("coordinate_transformation_mode", "half_pixel")) {
  const std::vector<std::string> known = {
      "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel",  "align_corners",
      "asymmetric", "tf_crop_and_resize",   "tf_half_pixel_for_nn"};
  if (std::find(known.begin(), known.end(), mode) == known.end()) {
    throw Unsupported("Resize with the coordinate_transformation_mode " + mode);
  }
}

float Coordinates::source(std::int64_t place) const {
  const auto x = static_cast<float>(place);
  const auto length = static_cast<float>(size);
  const float out_length = scale * length;
  if (mode == "align_corners") {
    return out_length == 1 ? 0 : x * (length - 1) / (out_length - 1);
  }
  if (mode == "asymmetric") return x / scale;
  if (mode == "tf_half_pixel_for_nn") return (x + 0.5f) / scale;
  if (mode == "tf_crop_and_resize") {
    if (out_length == 1) return 0.5f * (start + end) * (length - 1);
    return start * (length - 1) + x * (end - start) * (length - 1) / (out_length - 1);
  }
  if (mode == "pytorch_half_pixel" && out_size == 1) return 0;
  const float centred = (x + 0.5f) / scale - 0.5f;
  if (mode == "half_pixel_symmetric") {
    const float adjustment = static_cast<float>(out_size) / out_length;
    return length / 2 * (1 - adjustment) + centred;
  }
  return centred;
}

Taps linear_taps(const Node& node, const Coordinates& coordinates) {
  const double width = width_of(node, coordinates);
  return taps_of(node, coordinates, reach_of(1, width),
                 [&](double distance) { return std::max(0.0, 1 - std::fabs(distance * width)); });
}

// R. Keys, Cubic convolution interpolation for digital image processing (1981), equation 4.
Taps cubic_taps(const Node& node, const Coordinates& coordinates) {
  const double width = width_of(node, coordinates);
  const double a = node.real("cubic_coeff_a", -0.75);
  return taps_of(node, coordinates, reach_of(2, width), [&](double distance) {
    const double s = std::fabs(distance * width);
    if (s <= 1) return ((a + 2) * s - (a + 3)) * s * s + 1;
    return s < 2 ? ((a * s - 5 * a) * s + 8 * a) * s - 4 * a : 0.0;
  });
}

Taps nearest_taps(const Node& node, const Coordinates& coordinates) {
  const std::string mode = node.text("nearest_mode", "round_prefer_floor");
  Taps taps;
  taps.size = coordinates.size;
  taps.out_size = coordinates.out_size;
  for (std::int64_t place = 0; place < taps.out_size; ++place) {
    const float source = coordinates.source(place);
    float nearest = std::floor(source);
    const float rest = source - nearest;
    if (mode == "ceil") {
      nearest = std::ceil(source);
    } else if (mode == "round_prefer_floor" ? rest > 0.5f
                                            : mode == "round_prefer_ceil" && rest >= 0.5f) {
      nearest += 1;
    } else if (mode != "round_prefer_floor" && mode != "round_prefer_ceil" && mode != "floor") {
      throw Unsupported("Resize with the nearest_mode " + mode);
    }
    const auto last = static_cast<float>(taps.size - 1);
    taps.outside.push_back(coordinates.crops() && (source < 0 || source > last));
    // Beyond 2^24 the last item, as a float, may be the one behind it; NaN comes of a crop by NaN.
    const auto item = nearest > 0 ? static_cast<std::int64_t>(std::min(nearest, last)) : 0;
    taps.places.push_back(std::min(item, taps.size - 1));
    taps.weights.push_back(1);
  }
  return taps;
}

Taps idle_taps(std::int64_t size) {
  Taps taps;
  taps.size = taps.out_size = size;
  for (std::int64_t place = 0; place < size; ++place) taps.places.push_back(place);
  taps.weights.assign(static_cast<std::size_t>(size), 1);
  taps.outside.assign(static_cast<std::size_t>(size), false);
  return taps;
}

namespace {

// One row of the output: `inner` items beside each other, from as many of each tap.
template <typename Real>
void blend(const Real* x, Real* y, const std::int64_t* places, const Real* weights,
           std::int64_t taps, std::int64_t inner) {
  const Real *first = x + places[0] * inner, *second = x + places[1] * inner;
  const Real w0 = weights[0], w1 = weights[1];
  for (std::int64_t i = 0; i < inner; ++i) y[i] = first[i] * w0 + second[i] * w1;
  for (std::int64_t k = 2; k < taps; ++k) {
    const Real* item = x + places[k] * inner;
    const Real weight = weights[k];
    for (std::int64_t i = 0; i < inner; ++i) y[i] += item[i] * weight;
  }
}

}  // namespace

template <typename Real>
void resample(const Real* x, Real* y, const Taps& taps, const std::vector<Real>& weights,
              std::int64_t outer, std::int64_t inner) {
  const std::int64_t* places = taps.places.data();
  for (std::int64_t o = 0; o < outer; ++o, x += taps.size * inner) {
    const Real* weight = weights.data();
    for (std::int64_t j = 0; j < taps.out_size; ++j, y += inner, weight += taps.count) {
      const std::int64_t* place = places + j * taps.count;
      if (inner > 1) {
        blend(x, y, place, weight, taps.count, inner);
        continue;
      }
      Real total = x[place[0]] * weight[0];
      for (std::int64_t k = 1; k < taps.count; ++k) total += x[place[k]] * weight[k];
      *y = total;
    }
  }
}

template void resample<float>(const float*, float*, const Taps&, const std::vector<float>&,
                              std::int64_t, std::int64_t);
template void resample<double>(const double*, double*, const Taps&, const std::vector<double>&,
                               std::int64_t, std::int64_t);

}  // namespace laconic::engine
