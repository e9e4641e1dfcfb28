#include "kernels/int8_linear.h"

#include <algorithm>

#include "kernels/finish_sums.h"
#include "kernels/int8_grid.h"
#include "kernels/quantize.h"
#include "kernels/scratch.h"

namespace laconic::kernels {

namespace {

constexpr std::int64_t ROWS = 24;  // whose sums are handed over while they are in the cache

}  // namespace

Int8Linear::Int8Linear(const std::int8_t* weights, std::int64_t output_step,
                       std::int64_t depth_step, const std::int32_t* zero_points,
                       std::int64_t outputs, std::int64_t depth)
    : dot_(int8_dot()),
      outputs_(outputs),
      depth_(depth),
      words_((depth + 3) / 4),
      sums_(static_cast<std::size_t>(outputs)) {
  const std::int64_t width = static_cast<std::int64_t>(dot_.lanes) * dot_.vectors;
  const std::int64_t panels = (outputs + width - 1) / width;
  weights_.resize(static_cast<std::size_t>(panels * words_ * width));
  for (std::int64_t o = 0; o < outputs; ++o) {
    for (std::int64_t k = 0; k < depth; ++k) {
      const std::int32_t weight = weights[o * output_step + k * depth_step];
      const std::int64_t word = (o / width * words_ + k / 4) * width + o % width;
      weights_[static_cast<std::size_t>(word)] |= (static_cast<std::uint32_t>(weight) & 0xffu)
                                                  << (8 * (k % 4));
      sums_[static_cast<std::size_t>(o)] += weight;
    }
  }
  if (zero_points && std::any_of(zero_points, zero_points + outputs,
                                 [](std::int32_t zero) { return zero != 0; })) {
    zero_points_.assign(zero_points, zero_points + outputs);
  }
}

std::size_t Int8Linear::bytes() const {
  return 4 * (weights_.size() + sums_.size() + zero_points_.size());
}

std::size_t Int8Linear::scratch_bytes(int threads) const {
  const std::int64_t width = static_cast<std::int64_t>(dot_.lanes) * dot_.vectors;
  return static_cast<std::size_t>(threads * ROWS * width) * 4;
}

void Int8Linear::correct(std::int32_t* sums, std::int64_t output, std::int64_t count,
                         const std::uint8_t* x, std::int32_t zero) const {
  if (zero != 0) subtract_products(sums, count, zero, sums_.data() + output);
  if (zero_points_.empty()) return;
  std::uint32_t items = 0u - static_cast<std::uint32_t>(zero) * static_cast<std::uint32_t>(depth_);
  for (std::int64_t k = 0; k < depth_; ++k) items += x[k];
  subtract_products(sums, count, static_cast<std::int32_t>(items), zero_points_.data() + output);
}

void Int8Linear::run(const std::uint8_t* x, const std::int32_t* x_zero_points, std::int64_t rows,
                     const Int8RowSums& y, std::byte* scratch, Pool& pool) const {
  const std::int64_t width = static_cast<std::int64_t>(dot_.lanes) * dot_.vectors;
  const std::int64_t panels = (outputs_ + width - 1) / width;
  const std::int64_t parts = (rows + ROWS - 1) / ROWS;
  pool.split(panels * parts, [&](std::int64_t begin, std::int64_t end, int worker) {
    std::int32_t* sums = reinterpret_cast<std::int32_t*>(scratch) + worker * ROWS * width;
    for (std::int64_t item = begin; item < end; ++item) {
      const std::int64_t panel = item / parts, first = item % parts * ROWS;
      const std::int64_t output = panel * width, count = std::min(width, outputs_ - output);
      const Int8Tile tile{weights_.data() + panel * words_ * width,
                          words_,
                          dot_.vectors,
                          reinterpret_cast<const std::uint32_t*>(x + first * row_bytes()),
                          words_,
                          std::min(ROWS, rows - first),
                          sums};
      dot_.signed_panel(tile);
      for (std::int64_t r = 0; r < tile.count; ++r) {
        const std::int64_t row = first + r;
        correct(sums + r * width, output, count, x + row * row_bytes(),
                x_zero_points ? x_zero_points[row] : 0);
        y.take(sums + r * width, row, output, count);
      }
    }
  });
}

namespace {

class FloatRowSums final : public Int8RowSums {
 public:
  FloatRowSums(const float* scales, const float* row_scales, const Epilogue& epilogue, float* y,
               std::int64_t y_stride)
      : finish_(finish_sums()),
        scales_(scales),
        row_scales_(row_scales),
        epilogue_(epilogue),
        y_(y),
        y_stride_(y_stride) {}
  void take(const std::int32_t* sums, std::int64_t row, std::int64_t output,
            std::int64_t count) const override {
    Epilogue part = epilogue_;
    const std::int64_t place = row * y_stride_ + output;
    if (part.scale) part.scale += output;
    if (part.bias) part.bias += output;
    if (part.addend) part.addend += place;
    finish_.columns(sums, count, row_scales_[row], scales_ + output, part, y_ + place);
  }

 private:
  const FinishSums& finish_;
  const float *scales_, *row_scales_;
  const Epilogue& epilogue_;
  float* y_;
  std::int64_t y_stride_;
};

class Weights final : public LinearWeights {
 public:
  Weights(const Int8Weights& weights, std::int64_t outputs, std::int64_t depth)
      : linear_(weights.items.data(), depth, 1, nullptr, outputs, depth),
        depth_(depth),
        scales_(weights.scales) {}
  const char* form() const override { return "int8"; }
  std::size_t bytes() const override { return linear_.bytes() + 4 * scales_.size(); }
  std::size_t scratch_bytes(std::int64_t rows, int threads) const override {
    return memory(nullptr, rows).bytes + linear_.scratch_bytes(threads);
  }
  void run(const float* x, std::int64_t x_stride, float* y, std::int64_t y_stride,
           std::int64_t rows, const Epilogue& epilogue, std::byte* scratch,
           Pool& pool) const override {
    const Memory room = memory(scratch, rows);
    const Quantize& kernels = quantize();
    pool.split(rows, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t row = begin; row < end; ++row) {
        float low = 0.0f, high = 0.0f;
        kernels.range(x + row * x_stride, depth_, &low, &high);
        const Grid8 grid = dynamic_grid(low, high);
        room.zero_points[row] = grid.zero_point;
        room.scales[row] = grid.scale;
        std::uint8_t* items = room.items + row * linear_.row_bytes();
        kernels.bytes(x + row * x_stride, depth_, grid, items);
        std::fill(items + depth_, items + linear_.row_bytes(), std::uint8_t{0});
      }
    });
    linear_.run(room.items, room.zero_points, rows,
                FloatRowSums(scales_.data(), room.scales, epilogue, y, y_stride),
                scratch + room.bytes, pool);
  }

 private:
  struct Memory {
    std::uint8_t* items;
    std::int32_t* zero_points;
    float* scales;
    std::size_t bytes;
  };
  Memory memory(std::byte* begin, std::int64_t rows) const {
    Pieces pieces(begin);
    Memory out{};
    out.items = pieces.take<std::uint8_t>(rows * linear_.row_bytes());
    out.zero_points = pieces.take<std::int32_t>(rows);
    out.scales = pieces.take<float>(rows);
    out.bytes = pieces.bytes();
    return out;
  }

  Int8Linear linear_;
  std::int64_t depth_;
  std::vector<float> scales_;
};

}  // namespace

std::unique_ptr<LinearWeights> int8_linear(const Int8Weights& weights, std::int64_t outputs,
                                           std::int64_t depth) {
  return std::make_unique<Weights>(weights, outputs, depth);
}

double int8_linear_cost(std::int64_t outputs, std::int64_t depth, std::int64_t rows) {
  const Int8Dot& dot = int8_dot();
  const std::int64_t width = static_cast<std::int64_t>(dot.lanes) * dot.vectors;
  const double weights = static_cast<double>((outputs + width - 1) / width * width * depth);
  const double count = static_cast<double>(rows);
  return 200 + weights * std::max(0.012, count * dot.product_ns) +
         count * static_cast<double>(depth) * 0.6;
}

}  // namespace laconic::kernels
