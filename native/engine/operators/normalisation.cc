// Normalisation with a scale and a bias for each channel (dimension 1).
#include <algorithm>
#include <cmath>

#include "engine/operators/broadcast.h"
#include "engine/operators/moments.h"
#include "engine/operators/tables.h"

namespace laconic::engine {

namespace {

constexpr std::int64_t COST = 4;  // of one item, in additions

// Images, channels, and the items of one channel.
struct Planes {
  explicit Planes(const Shape& shape)
      : images(shape[0]), channels(shape[1]), area(shape.count(2, shape.rank())) {}
  std::int64_t images, channels, area;
};

void require_planes(const std::string& operation, const Tensor& x) {
  require_reals(operation, x);
  if (x.rank() < 2) throw Mismatch(operation + " takes [images, channels, ...], found " + x.text());
}

void require_vector(const std::string& what, const Tensor& found, std::int64_t size) {
  require_reals(what, found);
  if (found.rank() != 1 || found.shape[0] != size) {
    throw Mismatch(what + " has " + found.text() + ", not " + std::to_string(size) + " items");
  }
}

// (x - mean) / sqrt(variance + epsilon) scale + bias, with a given mean and variance.
class BatchNormalization final : public Operator {
 public:
  explicit BatchNormalization(Making& making) : epsilon_(making.node().real("epsilon", 1e-5)) {
    if (making.node().integer("training_mode", 0) != 0) {
      throw Unsupported("BatchNormalization in training mode; export the model in eval mode");
    }
  }

  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Tensor& x = planning.input(0);
    require_planes("BatchNormalization", x);
    const char* names[] = {"", "scale", "bias", "mean", "variance"};
    for (int k = 1; k < 5; ++k) {
      require_vector(std::string("BatchNormalization's ") + names[k], planning.input(k),
                     x.shape[1]);
    }
    planning.output(0, x.type, x.shape);
    planning.may_overwrite(0, 0);
    planning.scratch(2 * static_cast<std::size_t>(x.shape[1]) * sizeof(double));
    return nullptr;
  }

  void run(const Running& running) const override {
    with_real_type(running.input(0).type, [&](auto item) { apply<decltype(item)>(running); });
  }

 private:
  template <typename T>
  void apply(const Running& running) const {
    const Planes planes(running.input(0).shape);
    const T* x = running.input(0).as<T>();
    T* y = running.output(0).as<T>();
    T* factors = reinterpret_cast<T*>(running.scratch());
    T* shifts = factors + planes.channels;
    for (std::int64_t c = 0; c < planes.channels; ++c) {
      const double factor =
          real_at(running.input(1), c) / std::sqrt(real_at(running.input(4), c) + epsilon_);
      factors[c] = static_cast<T>(factor);
      shifts[c] =
          static_cast<T>(real_at(running.input(2), c) - real_at(running.input(3), c) * factor);
    }
    const bool flat = planes.area == 1;
    const std::int64_t row = flat ? planes.channels : planes.area;
    const std::int64_t rows = planes.images * (flat ? 1 : planes.channels);
    split_items(running.pool(), rows, row, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const auto c = i % planes.channels;
        if (flat) {
          standardise<T>(x + i * row, y + i * row, row, 0, 1, factors, shifts);
        } else {
          centre<T>(x + i * row, y + i * row, row, 1, 0, static_cast<double>(factors[c]),
                    static_cast<double>(shifts[c]));
        }
      }
    });
  }

  double epsilon_;
};

// Standardised over groups of channels of one image (arXiv:1803.08494); scale and bias come one for
// each channel (opset 21) or for each group (opset 18). With a channel a group, the instance
// normalisation of arXiv:1607.08022.
class GroupNormalization final : public Operator {
 public:
  explicit GroupNormalization(Making& making)
      : operation_(making.node().operation),
        groups_(making.node().integer("num_groups", 0)),
        epsilon_(making.node().real("epsilon", 1e-5)) {}

  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Tensor& x = planning.input(0);
    require_planes(operation_, x);
    const std::int64_t channels = x.shape[1], groups = groups_of(channels);
    if (groups <= 0 || groups > std::max<std::int64_t>(channels, 1) || channels % groups != 0) {
      throw Mismatch(operation_ + " with " + std::to_string(groups) + " groups, found " + x.text());
    }
    const bool per_group = planning.input(1).count() == groups;
    for (int k : {1, 2}) {
      require_vector(operation_ + (k == 1 ? "'s scale" : "'s bias"), planning.input(k),
                     per_group ? groups : channels);
    }
    planning.output(0, x.type, x.shape);
    planning.may_overwrite(0, 0);
    return nullptr;
  }

  void run(const Running& running) const override {
    with_real_type(running.input(0).type, [&](auto item) { apply<decltype(item)>(running); });
  }

 private:
  // Without the attribute, the operator is InstanceNormalization.
  std::int64_t groups_of(std::int64_t channels) const {
    return operation_ == "InstanceNormalization" ? channels : groups_;
  }

  template <typename T>
  void apply(const Running& running) const {
    const Planes planes(running.input(0).shape);
    const std::int64_t groups = groups_of(planes.channels);
    const std::int64_t members = groups > 0 ? planes.channels / groups : 0;
    const std::int64_t row = members * planes.area;
    const bool per_group = running.input(1).count() == groups;
    split_items(running.pool(), planes.images * groups, COST * row,
                [&](std::int64_t begin, std::int64_t end) {
                  for (std::int64_t i = begin; i < end; ++i) {
                    const T* x = running.input(0).as<T>() + i * row;
                    T* y = running.output(0).as<T>() + i * row;
                    const Moments moments = moments_of(x, row, epsilon_);
                    for (std::int64_t k = 0; k < members; ++k) {
                      const std::int64_t group = i % groups;
                      const std::int64_t c = per_group ? group : group * members + k;
                      centre<T>(x + k * planes.area, y + k * planes.area, planes.area, 1,
                                moments.mean, moments.inverse * real_at(running.input(1), c),
                                real_at(running.input(2), c));
                    }
                  }
                });
  }

  std::string operation_;
  std::int64_t groups_;
  double epsilon_;
};

}  // namespace

std::vector<Entry> normalisation_operators() {
  return {
      {"BatchNormalization", make<BatchNormalization>, {"epsilon", "momentum", "training_mode"}, 5},
      {"InstanceNormalization", make<GroupNormalization>, {"epsilon"}, 3},
      {"GroupNormalization", make<GroupNormalization>, {"epsilon", "num_groups", "stash_type"}, 3},
  };
}

}  // namespace laconic::engine
