// QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear.
#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/operators/broadcast.h"
#include "engine/operators/tables.h"
#include "kernels/quantize.h"

namespace laconic::engine {

namespace {

template <typename T>
constexpr bool IS_CODE = std::is_same_v<T, std::uint8_t> || std::is_same_v<T, std::int8_t> ||
                         std::is_same_v<T, std::uint16_t> || std::is_same_v<T, std::int16_t>;

bool is_code(DType type) {
  return type == DType::u8 || type == DType::i8 || type == DType::u16 || type == DType::i16;
}

// Which scale and zero point an item has: one for all, one for each index of an axis, or one for
// each block along an axis.
struct Grain : Prepared {
  std::int64_t rows = 1, items = 1;    // x as [outer, size, items], taken as outer * size rows
  std::int64_t size = 1;               // of the axis
  std::int64_t block = 1, blocks = 1;  // indices of the axis in one block; blocks of the axis
  std::int64_t step = 0;               // between the scales of neighbouring items

  std::int64_t scale_of_row(std::int64_t row) const {
    const std::int64_t place = row / size * blocks + row % size / block;
    return step == 1 ? place * items : place % blocks;
  }
};

std::unique_ptr<Grain> grain_of(const Node& node, const Shape& x, const Shape& scale) {
  auto out = std::make_unique<Grain>();
  if (scale.count() == 1 && scale.rank() <= 1) {
    out->items = x.count();
    return out;
  }
  const int axis = axis_of(node.integer("axis", 1), x.rank());
  out->size = x[axis];
  out->items = x.count(axis + 1, x.rank());
  out->rows = x.count(0, axis + 1);
  if (scale.rank() == 1) {
    if (scale[0] != out->size) {
      throw Mismatch("scales of " + scale.text() + " for axis " + std::to_string(axis) + " of " +
                     x.text());
    }
    out->blocks = out->size;
    return out;
  }
  out->block = node.integer("block_size", 0);
  out->step = 1;
  if (out->block < 1) throw Mismatch("scales of " + scale.text() + " need a block_size");
  out->block = std::min(out->block, std::max<std::int64_t>(out->size, 1));
  out->blocks = (out->size + out->block - 1) / out->block;
  Shape expected = x;
  expected[axis] = out->blocks;
  if (scale != expected) {
    throw Mismatch("scales of " + scale.text() + " where blocks of " + std::to_string(out->block) +
                   " need " + expected.text());
  }
  return out;
}

void check_zero_point(const Planning& planning, DType type) {
  if (!planning.has(2)) return;
  const Tensor& zero = planning.input(2);
  if (zero.type != type || zero.count() != planning.input(1).count()) {
    throw Mismatch("a zero point of " + zero.text() + " beside a scale of " +
                   planning.input(1).text());
  }
}

// Ties to even, where the magnitude is below 2^22.
float rounded(float x) {
  constexpr float ROUNDER = 12582912.0f;
  return (x + ROUNDER) - ROUNDER;
}

template <typename T>
T code_of(float x, float scale, T zero) {
  const float steps = x / scale, shift = static_cast<float>(zero);
  const float low = static_cast<float>(std::numeric_limits<T>::min()) - shift;
  const float high = static_cast<float>(std::numeric_limits<T>::max()) - shift;
  return static_cast<T>(rounded(std::min(high, steps > low ? steps : low)) + shift);
}

class QuantizeLinear final : public Operator {
 public:
  explicit QuantizeLinear(Making& making) : node_(making.node()) {}

  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Tensor &x = planning.input(0), &scale = planning.input(1);
    if ((x.type != DType::f32 && x.type != DType::i32) || scale.type != DType::f32) {
      throw Unsupported("QuantizeLinear of " + x.text() + " by " + scale.text() +
                        ": float32 and int32 can be quantized, by float32");
    }
    const std::int64_t stated = node_.integer("output_dtype", 0);
    DType type = DType::u8;
    if (planning.has(2)) {
      type = planning.input(2).type;
    } else if (stated != 0) {
      type = dtype_of(stated, "QuantizeLinear");
    }
    if (!is_code(type)) throw Unsupported(std::string("QuantizeLinear to ") + name_of(type));
    check_zero_point(planning, type);
    planning.output(0, type, x.shape);
    return grain_of(node_, x.shape, scale.shape);
  }

  void run(const Running& running) const override {
    const auto& grain = running.prepared<Grain>();
    const Tensor& y = running.output(0);
    if (grain.step == 0 && running.input(0).type == DType::f32 && y.type == DType::u8) {
      run_bytes(running, grain);
      return;
    }
    with_type(y.type, [&](auto item) {
      using T = decltype(item);
      if constexpr (IS_CODE<T>) {
        if (running.input(0).type == DType::f32) {
          run_codes<float, T>(running, grain);
        } else {
          run_codes<std::int32_t, T>(running, grain);
        }
      }
    });
  }

 private:
  static void run_bytes(const Running& running, const Grain& grain) {
    const float *x = running.input(0).as<float>(), *scales = running.input(1).as<float>();
    const std::uint8_t* zeros = running.has(2) ? running.input(2).as<std::uint8_t>() : nullptr;
    std::uint8_t* y = running.output(0).as<std::uint8_t>();
    for (std::int64_t row = 0; row < grain.rows; ++row) {
      const std::int64_t place = grain.scale_of_row(row);
      const kernels::Grid8 grid{scales[place], zeros ? zeros[place] : 0};
      split_items(running.pool(), grain.items, 1, [&](std::int64_t begin, std::int64_t end) {
        const std::int64_t at = row * grain.items + begin;
        kernels::quantize().bytes(x + at, end - begin, grid, y + at);
      });
    }
  }

  template <typename X, typename Y>
  static void run_codes(const Running& running, const Grain& grain) {
    const X* x = running.input(0).as<X>();
    const float* scales = running.input(1).as<float>();
    const Y* zeros = running.has(2) ? running.input(2).as<Y>() : nullptr;
    Y* y = running.output(0).as<Y>();
    split_items(running.pool(), grain.rows, grain.items, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        const std::int64_t first = grain.scale_of_row(row), at = row * grain.items;
        for (std::int64_t i = 0; i < grain.items; ++i) {
          const std::int64_t place = first + i * grain.step;
          y[at + i] =
              code_of<Y>(static_cast<float>(x[at + i]), scales[place], zeros ? zeros[place] : Y{0});
        }
      }
    });
  }

  const Node& node_;
};

class DequantizeLinear final : public Operator {
 public:
  explicit DequantizeLinear(Making& making) : node_(making.node()) {}

  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Tensor &x = planning.input(0), &scale = planning.input(1);
    if ((!is_code(x.type) && x.type != DType::i32) || scale.type != DType::f32) {
      throw Unsupported("DequantizeLinear of " + x.text() + " by " + scale.text() +
                        ": integers of 8, 16 and 32 bits can be dequantized, by float32");
    }
    check_zero_point(planning, x.type);
    planning.output(0, DType::f32, x.shape);
    return grain_of(node_, x.shape, scale.shape);
  }

  void run(const Running& running) const override {
    const auto& grain = running.prepared<Grain>();
    with_type(running.input(0).type, [&](auto item) {
      using T = decltype(item);
      if constexpr (IS_CODE<T> || std::is_same_v<T, std::int32_t>) run_items<T>(running, grain);
    });
  }

 private:
  template <typename T>
  static void run_items(const Running& running, const Grain& grain) {
    const T* x = running.input(0).as<T>();
    const float* scales = running.input(1).as<float>();
    const T* zeros = running.has(2) ? running.input(2).as<T>() : nullptr;
    float* y = running.output(0).as<float>();
    const auto item = [&](std::int64_t at, std::int64_t place) {
      const std::int64_t zero = zeros ? zeros[place] : T{0};
      y[at] = static_cast<float>(std::int64_t{x[at]} - zero) * scales[place];
    };
    for (std::int64_t row = 0; row < grain.rows; ++row) {
      const std::int64_t first = grain.scale_of_row(row), at = row * grain.items;
      split_items(running.pool(), grain.items, 1, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) item(at + i, first + i * grain.step);
      });
    }
  }

  const Node& node_;
};

class DynamicQuantizeLinear final : public Operator {
 public:
  explicit DynamicQuantizeLinear(Making&) {}

  std::unique_ptr<Prepared> plan(Planning& planning) const override {
    const Tensor& x = planning.input(0);
    if (x.type != DType::f32) throw Mismatch("float32 is needed, found " + x.text());
    planning.output(0, DType::u8, x.shape);
    if (planning.wants(1)) planning.output(1, DType::f32, {});
    if (planning.wants(2)) planning.output(2, DType::u8, {});
    return nullptr;
  }

  void run(const Running& running) const override {
    const Tensor& x = running.input(0);
    const float* items = x.as<float>();
    float low = 0.0f, high = 0.0f;
    kernels::quantize().range(items, x.count(), &low, &high);
    const kernels::Grid8 grid = kernels::dynamic_grid(low, high);
    if (running.wants(0)) {
      std::uint8_t* y = running.output(0).as<std::uint8_t>();
      split_items(running.pool(), x.count(), 1, [&](std::int64_t begin, std::int64_t end) {
        kernels::quantize().bytes(items + begin, end - begin, grid, y + begin);
      });
    }
    if (running.wants(1)) *running.output(1).as<float>() = grid.scale;
    if (running.wants(2)) {
      *running.output(2).as<std::uint8_t>() = static_cast<std::uint8_t>(grid.zero_point);
    }
  }
};

}  // namespace

// saturate has a meaning for float8 alone, precision for scales of other types than float32.
std::vector<Entry> quantized_operators() {
  return {
      {"QuantizeLinear",
       make<QuantizeLinear>,
       {"axis", "block_size", "output_dtype", "precision", "saturate"},
       3},
      {"DequantizeLinear", make<DequantizeLinear>, {"axis", "block_size", "output_dtype"}, 3},
      {"DynamicQuantizeLinear", make<DynamicQuantizeLinear>, {}, 1},
  };
}

}  // namespace laconic::engine
