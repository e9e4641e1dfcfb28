// The non-zeros of a convolution and their plan for one size of image; see kernels/sparse_conv.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/layers.h"
#include "kernels/sparse_conv.h"
#include "kernels/sparse_fill.h"
#include "kernels/sparse_tiling.h"

namespace laconic::kernels {

// Non-zeros in the order of the weights. Positions within a filter have 16 bits: a filter is cut
// into `sections` of 65536 weights.
struct SparseFilters {
  SparseFilters(const float* weights, const ConvShape& shape);

  std::int64_t depth, sections;
  std::vector<std::uint16_t> positions;
  std::vector<float> values;
  std::vector<std::uint32_t> starts;  // [outputs * sections + 1]

  std::size_t bytes() const {
    return positions.size() * sizeof(positions[0]) + values.size() * sizeof(values[0]) +
           starts.size() * sizeof(starts[0]);
  }
};

class SparseConvPlan final : public ConvPlan {
 public:
  SparseConvPlan(const SparseFilters& filters, const ConvShape& shape);

  std::size_t scratch_bytes(std::int64_t images, int threads) const override;
  bool may_lie_apart() const override { return !flat_; }
  std::int64_t wanted_apart() const override { return wanted_apart_; }
  void run(const float* x, float* y, std::int64_t images, const Epilogue& epilogue,
           std::byte* scratch, Pool& pool) const override;

 private:
  struct Plane {
    std::int64_t phase_y, phase_x;
    std::int64_t shift;  // columns by which it is moved left in place of being slid
    std::int64_t skip;   // lanes by which the plane is moved down, so that its rows are aligned
  };
  struct Tap {
    std::int64_t offset;  // in the slab of its channel, in floats
    int run;
  };
  // Part of the outputs of one tile of one image.
  struct Item {
    std::int64_t image, row, column, first_output, outputs;
  };

  std::int64_t x_plane() const { return (shape_.height + shape_.x_apart) * shape_.width; }
  std::int64_t y_plane() const { return (shape_.out_height + shape_.y_apart) * shape_.out_width; }

  std::int64_t find_wanted(const SparseFilters& filters) const;
  void plan_runs();
  void plan_taps();
  void plan_masks();
  void plan_terms(const SparseFilters& filters);
  std::int64_t find_plane(const Plane& wanted);
  std::int64_t blocks() const;
  std::int64_t slab_floats() const;
  std::int64_t partial_floats() const;
  std::size_t worker_bytes() const;
  void fill_slab(const float* image, std::int64_t channels, std::int64_t row, std::int64_t column,
                 float* slab) const;
  SparseTile describe(const Item& item, const Epilogue& epilogue, float* y, float* scratch) const;

  void run_item(const Item& item, const float* x, float* y, const Epilogue& epilogue,
                float* scratch) const;
  void write_zeros(const Item& item, float* y) const;

  const SparseConvKernels& kernels_;
  void (*const fill_)(const SparsePlane&);
  ConvShape shape_;
  bool flat_;  // the planes are rows for us
  SparseTiling tiling_;
  SparseAxis y_, x_;
  std::int64_t wanted_apart_;
  int unit_bits_ = 0;                     // of the bytes of a unit
  std::vector<std::int64_t> run_shifts_;  // whole, in the order of the runs
  std::vector<int> slides_;               // what is left of them within a vector
  std::vector<Plane> planes_;
  std::vector<Tap> taps_;  // [kernel_height * kernel_width]
  std::vector<std::vector<std::uint16_t>> masks_;
  std::vector<const std::uint16_t*> mask_pointers_;
  std::vector<std::uint16_t> offsets_;  // of the non-zeros, in units
  std::vector<float> values_;
  std::vector<std::int32_t> starts_;  // [blocks][outputs of all groups][runs], and the end
};

}  // namespace laconic::kernels
