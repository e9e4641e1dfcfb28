#include "check.h"
#include "operate.h"

using namespace check;
using Floats = std::vector<float>;

namespace {

Constant resized(const Constant& x, const Floats& scales, Attributes attributes, int threads = 1,
                 const Floats& region = {}) {
  const Constant none;
  const auto list = [](const Floats& values) {
    return array<float>({static_cast<std::int64_t>(values.size())}, values);
  };
  return operate("Resize", {x, region.empty() ? none : list(region), list(scales)}, attributes, 1,
                 threads)[0];
}

Attributes mode(const std::string& name, const std::string& coordinates = "half_pixel") {
  return {{"mode", name}, {"coordinate_transformation_mode", coordinates}};
}

}  // namespace

TEST("Resize to the nearest item repeats or skips, for every type") {
  const Constant x = counted<std::uint8_t>({1, 2, 3});
  CHECK(items<std::uint8_t>(resized(x, {1, 2, 2}, mode("nearest"))) ==
        (std::vector<std::uint8_t>{0, 0, 1, 1, 2, 2, 0, 0, 1, 1, 2, 2,
                                   3, 3, 4, 4, 5, 5, 3, 3, 4, 4, 5, 5}));
  const Constant wide = counted<double>({6});
  CHECK(items<double>(resized(wide, {0.5f}, mode("nearest", "asymmetric"))) ==
        (std::vector<double>{0, 2, 4}));
}

TEST("Resize rounds to the nearest item as it is told") {
  const auto rounded = [](const std::string& how) {
    Attributes attributes = mode("nearest", "asymmetric");
    attributes["nearest_mode"] = how;
    return items<float>(resized(counted<float>({3}), {2}, attributes));
  };
  CHECK(rounded("floor") == (Floats{0, 0, 1, 1, 2, 2}));
  CHECK(rounded("round_prefer_floor") == (Floats{0, 0, 1, 1, 2, 2}));
  CHECK(rounded("round_prefer_ceil") == (Floats{0, 1, 1, 2, 2, 2}));
  CHECK(rounded("ceil") == (Floats{0, 1, 1, 2, 2, 2}));
}

TEST("Resize by lines goes through the items") {
  const Constant x = array<float>({3}, {0, 2, 6});
  CHECK(items<float>(resized(x, {2}, mode("linear"))) == (Floats{0, 0.5f, 1.5f, 3, 5, 6}));
  CHECK(items<float>(resized(x, {5.0f / 3}, mode("linear", "align_corners"))) ==
        (Floats{0, 1, 2, 4, 6}));
}

TEST("Resize of integers cuts, and cubics do not run over") {
  const Constant x = array<std::uint8_t>({4}, {0, 0, 255, 255});
  const auto found = items<std::uint8_t>(resized(x, {4}, mode("cubic")));
  CHECK(found[5] == 0 && found[10] == 255 && found[7] > 0 && found[7] < 128);
}

TEST("Resize keeps the region of interest, and the value beyond it") {
  const Constant x = array<float>({2, 2}, {0, 1, 2, 3});
  Attributes attributes = mode("linear", "tf_crop_and_resize");
  attributes["extrapolation_value"] = 10.0;
  const Constant found = resized(x, {1, 1.5f}, attributes, 1, {0, 0, 1, 2});
  CHECK(items<float>(found) == (Floats{0, 1, 10, 2, 3, 10}));
}

TEST("Resize gives the same on several threads, and passes on what stays") {
  Random random(2);
  const Constant x = array<float>({3, 5, 37, 41}, random.floats(3 * 5 * 37 * 41));
  for (const char* name : {"nearest", "linear", "cubic"}) {
    CHECK(items<float>(resized(x, {1, 1, 1.7f, 2.3f}, mode(name), 1)) ==
          items<float>(resized(x, {1, 1, 1.7f, 2.3f}, mode(name), 3)));
    CHECK(resized(x, {1, 1, 1, 1}, mode(name)).tensor.data == x.tensor.data);
  }
}
