#include "kernels/unfold.h"

#include <algorithm>
#include <cstring>

namespace laconic::kernels {

namespace {

// Neighbouring pixels of one row of an output: the first of them is column `at`.
struct Run {
  std::int64_t image, y, x, count, at;
};

template <typename Visit>
void visit_runs(const ConvShape& shape, const PixelRange& pixels, const Visit& visit) {
  for (std::int64_t pixel = pixels.begin; pixel < pixels.end;) {
    const std::int64_t row = pixel / shape.out_width, x = pixel - row * shape.out_width;
    const std::int64_t count = std::min(shape.out_width - x, pixels.end - pixel);
    visit(Run{row / shape.out_height, row % shape.out_height, x, count, pixel - pixels.begin});
    pixel += count;
  }
}

// The pixels of a run under one tap: those from `low` to before `high` read the image at `from`,
// `from + stride_x`, ...
struct Reach {
  std::int64_t low = 0, high = 0, from = 0;
};

Reach reach_of(const ConvShape& shape, const Run& run, std::int64_t tap) {
  const std::int64_t ky = tap / shape.kernel_width, kx = tap % shape.kernel_width;
  const std::int64_t y = run.y * shape.stride_y - shape.pad_top + ky * shape.dilation_y;
  if (y < 0 || y >= shape.height) return {};
  const std::int64_t x = run.x * shape.stride_x - shape.pad_left + kx * shape.dilation_x;
  const std::int64_t stride = shape.stride_x;
  const std::int64_t low = x < 0 ? std::min(run.count, (-x + stride - 1) / stride) : 0;
  const std::int64_t high =
      x < shape.width ? std::min(run.count, (shape.width - 1 - x) / stride + 1) : 0;
  if (low >= high) return {};
  return {low, high, y * shape.width + x + low * stride};
}

// Copies of a size that is known become moves of vectors; the second may overlap the first.
template <std::int64_t words>
void copy_ends(std::uint32_t* to, const std::uint32_t* from, std::int64_t count) {
  std::memcpy(to, from, 4 * words);
  std::memcpy(to + count - words, from + count - words, 4 * words);
}

void copy(std::uint32_t* to, const std::uint32_t* from, std::int64_t count) {
  if (count > 16) {
    std::memcpy(to, from, static_cast<std::size_t>(count) * 4);
  } else if (count >= 8) {
    copy_ends<8>(to, from, count);
  } else if (count >= 4) {
    copy_ends<4>(to, from, count);
  } else {
    for (std::int64_t i = 0; i < count; ++i) to[i] = from[i];
  }
}

}  // namespace

void unfold(const std::uint32_t* images, std::int64_t image_step, std::int64_t planes,
            std::uint32_t outside, const ConvShape& shape, const PixelRange& pixels,
            std::uint32_t* columns) {
  const std::int64_t taps = shape.kernel_height * shape.kernel_width;
  const std::int64_t plane = shape.height * shape.width, stride = shape.stride_x;
  visit_runs(shape, pixels, [&](const Run& run) {
    const std::uint32_t* image = images + run.image * image_step;
    for (std::int64_t tap = 0; tap < taps; ++tap) {
      const Reach reach = reach_of(shape, run, tap);
      std::uint32_t* to = columns + tap * planes * pixels.width + run.at;
      for (std::int64_t p = 0; p < planes; ++p, to += pixels.width) {
        const std::uint32_t* from = image + p * plane + reach.from;
        for (std::int64_t i = 0; i < reach.low; ++i) to[i] = outside;
        if (stride == 1) {
          copy(to + reach.low, from, reach.high - reach.low);
        } else {
          for (std::int64_t i = reach.low; i < reach.high; ++i, from += stride) to[i] = *from;
        }
        for (std::int64_t i = reach.high; i < run.count; ++i) to[i] = outside;
      }
    }
  });
}

bool unfold_inside(const ConvShape& shape, const PixelRange& pixels, std::uint32_t* inside) {
  const std::int64_t taps = shape.kernel_height * shape.kernel_width;
  bool all = true;
  visit_runs(shape, pixels, [&](const Run& run) {
    for (std::int64_t tap = 0; tap < taps; ++tap) {
      const Reach reach = reach_of(shape, run, tap);
      std::uint32_t* to = inside + tap * pixels.width + run.at;
      for (std::int64_t i = 0; i < run.count; ++i) {
        to[i] = i >= reach.low && i < reach.high ? ~0u : 0u;
      }
      all = all && reach.low == 0 && reach.high == run.count;
    }
  });
  return all;
}

}  // namespace laconic::kernels
