#include "kernels/sparse_conv.h"

#include <limits>

#include "kernels/sparse_conv_plan.h"

namespace laconic::kernels {

namespace {

class SparseConv final : public ConvWeights {
 public:
  SparseConv(const float* weights, const ConvShape& shape) : filters_(weights, shape) {}

  const char* form() const override { return "sparse"; }
  std::size_t bytes() const override { return filters_.bytes(); }
  std::unique_ptr<ConvPlan> plan(const ConvShape& shape) const override {
    return std::make_unique<SparseConvPlan>(filters_, shape);
  }

 private:
  SparseFilters filters_;
};

// From cycles to nanoseconds: the constants of the tiling were measured at this speed.
constexpr double CYCLES_A_NANOSECOND = 3.7;

}  // namespace

SparseFilters::SparseFilters(const float* weights, const ConvShape& shape)
    : depth(shape.depth()), sections((shape.depth() + 65535) / 65536), starts{0} {
  for (std::int64_t output = 0; output < shape.outputs; ++output) {
    for (std::int64_t section = 0; section < sections; ++section) {
      const std::int64_t first = section * 65536;
      const std::int64_t size = depth - first < 65536 ? depth - first : 65536;
      for (std::int64_t i = 0; i < size; ++i) {
        const float value = weights[output * depth + first + i];
        if (value == 0.0f) continue;
        positions.push_back(static_cast<std::uint16_t>(i));
        values.push_back(value);
      }
      starts.push_back(static_cast<std::uint32_t>(values.size()));
    }
  }
}

std::unique_ptr<ConvWeights> sparse_conv(const float* weights, const ConvShape& shape) {
  return std::make_unique<SparseConv>(weights, shape);
}

double sparse_conv_cost(const ConvShape& shape, std::int64_t nonzeros) {
  const SparseConvKernels& kernels = sparse_conv_kernels();
  const SparseTiling tiling =
      choose_tiling(flattened(shape), nonzeros, {kernels.lanes, kernels.vectors});
  if (tiling.cycles < 0) return std::numeric_limits<double>::infinity();
  return tiling.cycles / CYCLES_A_NANOSECOND;
}

}  // namespace laconic::kernels
