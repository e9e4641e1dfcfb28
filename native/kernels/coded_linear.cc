// Dense weights in few bits: panels of outputs whose codes lie in the order in which the depth is
// walked.
#include "kernels/coded_linear.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/codebook_linear.h"
#include "kernels/dense_linear.h"
#include "kernels/dense_tile.h"
#include "kernels/distinct.h"
#include "kernels/linear_rows.h"

namespace laconic::kernels {
namespace {

// From more rows on, weights are unpacked once for all of them.
constexpr std::int64_t MOST_DIRECT = 4;
constexpr std::int64_t CHUNK =
    128;  // steps that are unpacked at once: they stay in the first cache
constexpr std::int64_t MOST_LANES = 16;

struct CodeBook {
  Coding coding;
  std::vector<float> table;
  float scale = 1, offset = 0;
};

// Zero comes first: its bits are the least.
std::vector<float> table_of(const LinearSurvey& survey) {
  std::vector<float> table;
  if (survey.has_zeros()) table.push_back(0.0f);
  table.insert(table.end(), survey.table.begin(), survey.table.end());
  return table;
}

CodeBook codebook_of(const LinearSurvey& survey) {
  CodeBook book;
  book.table = table_of(survey);
  if (book.table.size() <= 16) {
    book.coding = Coding::nibbles;
    return book;
  }
  const UniformGrid grid = uniform_grid(book.table);
  if (grid.found) {
    book.coding = Coding::uniform;
    book.scale = grid.scale;
    book.offset = static_cast<float>(grid.offset);
    // A code is the place among all values of the grid.
    book.table.clear();
    for (int code = 0; code < 256; ++code) {
      book.table.push_back(grid.scale * (static_cast<float>(code) + book.offset));
    }
    return book;
  }
  book.coding = book.table.size() <= 32 ? Coding::short_table : Coding::long_table;
  return book;
}

class CodedLinear final : public LinearWeights {
 public:
  CodedLinear(const float* weights, std::int64_t outputs, std::int64_t depth, CodeBook book,
              const char* form)
      : form_(form),
        outputs_(outputs),
        depth_(depth),
        book_(std::move(book)),
        kernels_(coded_linear()),
        tile_(dense_tile()),
        rows_(linear_rows()),
        width_(CODED_VECTORS * kernels_.lanes),
        panels_((outputs + width_ - 1) / width_) {
    pack(weights);
    book_.table.resize(book_.coding == Coding::nibbles       ? 16
                       : book_.coding == Coding::short_table ? 32
                       : book_.coding == Coding::long_table  ? 256
                                                             : 0,
                       0.0f);
    book_.table.shrink_to_fit();
  }

  const char* form() const override { return form_; }
  std::size_t bytes() const override { return codes_.size() + book_.table.size() * sizeof(float); }

  std::size_t scratch_bytes(std::int64_t rows, int threads) const override {
    if (rows <= MOST_DIRECT) return 0;
    return static_cast<std::size_t>(worker_floats(rows) * threads) * sizeof(float);
  }

  void run(const float* x, std::int64_t x_stride, float* y, std::int64_t y_stride,
           std::int64_t rows, const Epilogue& epilogue, std::byte* scratch,
           Pool& pool) const override {
    pool.split(panels_, [&](std::int64_t begin, std::int64_t end, int worker) {
      for (std::int64_t panel = begin; panel < end; ++panel) {
        if (rows <= MOST_DIRECT) {
          run_direct(panel, x, x_stride, y, y_stride, rows, epilogue);
        } else {
          run_unpacked(panel, x, x_stride, y, y_stride, rows, epilogue,
                       reinterpret_cast<float*>(scratch) + worker * worker_floats(rows));
        }
      }
    });
  }

 private:
  // Bytes of a vector of codes in `steps` steps.
  std::int64_t code_bytes(std::int64_t steps) const {
    switch (book_.coding) {
      case Coding::nibbles:
        return (steps + 1) / 2 * kernels_.lanes;
      case Coding::half:
      case Coding::bfloat16:
        return steps * kernels_.lanes * 2;
      default:
        return steps * kernels_.lanes;
    }
  }
  int vectors_of(std::int64_t panel) const {
    const std::int64_t left = outputs_ - panel * width_;
    return static_cast<int>(
        std::min<std::int64_t>(CODED_VECTORS, (left + kernels_.lanes - 1) / kernels_.lanes));
  }
  CodedPanel panel_at(std::int64_t panel) const {
    const std::uint8_t* codes = codes_.data() + panel * CODED_VECTORS * code_bytes(depth_);
    return {codes, book_.table.data(), book_.scale, book_.offset, depth_, vectors_of(panel)};
  }
  // An unpacked chunk, and the sums of all rows.
  std::int64_t worker_floats(std::int64_t rows) const {
    const std::int64_t blocks = (rows + tile_.rows - 1) / tile_.rows;
    return CHUNK * width_ + blocks * tile_.rows * width_;
  }

  void run_direct(std::int64_t place, const float* x, std::int64_t x_stride, float* y,
                  std::int64_t y_stride, std::int64_t rows, const Epilogue& epilogue) const {
    const CodedPanel panel = panel_at(place);
    const std::int64_t begin = place * width_, end = std::min(outputs_, begin + width_);
    float sums[MOST_DIRECT * CODED_VECTORS * MOST_LANES];
    for (std::int64_t row = 0; row < rows;) {
      const int taken = rows - row >= 4 ? 4 : rows - row >= 2 ? 2 : 1;
      kernels_.product(book_.coding, panel, x + row * x_stride, x_stride, taken, sums);
      for (int i = 0; i < taken; ++i, ++row) {
        Epilogue here = epilogue;
        if (here.addend) here.addend += row * y_stride;
        rows_.finish(sums + i * panel.vectors * kernels_.lanes, begin, end, y + row * y_stride,
                     here);
      }
    }
  }

  void run_unpacked(std::int64_t place, const float* x, std::int64_t x_stride, float* y,
                    std::int64_t y_stride, std::int64_t rows, const Epilogue& epilogue,
                    float* scratch) const {
    const CodedPanel panel = panel_at(place);
    const std::int64_t begin = place * width_, end = std::min(outputs_, begin + width_);
    const std::int64_t step = panel.vectors * kernels_.lanes;
    PanelTile tile = {};
    tile.left_row = x_stride;
    tile.left_step = 1;
    tile.panel = scratch;
    tile.panel_step = step;
    tile.y_row = y_stride;
    tile.last = static_cast<int>(end - begin - (panel.vectors - 1) * kernels_.lanes);
    tile.alpha = 1;
    tile.finish.scale = epilogue.scale ? epilogue.scale + begin : nullptr;
    tile.finish.bias = epilogue.bias ? epilogue.bias + begin : nullptr;
    tile.finish.low = epilogue.low;
    tile.finish.high = epilogue.high;
    for (std::int64_t from = 0; from < depth_ || from == 0; from += CHUNK) {
      tile.depth = std::min(CHUNK, depth_ - from);
      tile.resume = from > 0;
      tile.unfinished = from + CHUNK < depth_;
      kernels_.unpack(book_.coding, panel, from, from + tile.depth, scratch);
      for (std::int64_t row = 0; row < rows; row += tile_.rows) {
        tile.left = x + row * x_stride + from;
        tile.sums = scratch + CHUNK * width_ + row * width_;
        tile.y = y + row * y_stride + begin;
        tile.finish.addend = epilogue.addend ? epilogue.addend + row * y_stride + begin : nullptr;
        tile_.panel(tile, static_cast<int>(std::min<std::int64_t>(tile_.rows, rows - row)),
                    panel.vectors);
      }
    }
  }

  void pack(const float* weights);

  const char* form_;
  std::int64_t outputs_, depth_;
  CodeBook book_;
  const CodedLinearKernels& kernels_;
  const DenseTileKernels& tile_;
  const LinearRowsKernels& rows_;
  std::int64_t width_, panels_;  // outputs of a panel
  std::vector<std::uint8_t> codes_;
};

std::uint16_t half_code(Coding coding, float value) {
  std::uint16_t code = 0;
  if (coding == Coding::half) {
    exact_half(value, code);
  } else {
    std::uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    code = static_cast<std::uint16_t>(bits >> 16);
  }
  return code;
}

void CodedLinear::pack(const float* weights) {
  const CodeOf code_of(book_.table);
  const std::int64_t lanes = kernels_.lanes;
  const bool wide = book_.coding == Coding::half || book_.coding == Coding::bfloat16;
  std::int64_t vectors = 0;
  for (std::int64_t panel = 0; panel < panels_; ++panel) vectors += vectors_of(panel);
  codes_.resize(static_cast<std::size_t>(vectors * code_bytes(depth_)));
  for (std::int64_t output = 0; output < outputs_; ++output) {
    const std::int64_t panel = output / width_, vector = output % width_ / lanes;
    const std::int64_t step_bytes = vectors_of(panel) * code_bytes(1);
    std::uint8_t* codes = codes_.data() + panel * CODED_VECTORS * code_bytes(depth_) +
                          vector * code_bytes(1) + output % lanes * (wide ? 2 : 1);
    const float* row = weights + output * depth_;
    for (std::int64_t k = 0; k < depth_; ++k) {
      if (wide) {
        const std::uint16_t code = half_code(book_.coding, row[k]);
        std::memcpy(codes + k * step_bytes, &code, sizeof code);
      } else if (book_.coding == Coding::nibbles) {
        codes[k / 2 * step_bytes] |= static_cast<std::uint8_t>(code_of(row[k]) << (k % 2 * 4));
      } else {
        codes[k * step_bytes] = code_of(row[k]);
      }
    }
  }
}

// Nanoseconds to decode a weight and multiply it with one row; measured on a Zen 5 processor.
double decode_ns(Coding coding) {
  const bool wide = instructions() == Instructions::avx512;
  const bool plain = instructions() == Instructions::portable;
  switch (coding) {
    case Coding::nibbles:
      return wide ? 0.019 : plain ? 1.0 : 0.06;
    case Coding::short_table:
      return wide ? 0.022 : plain ? 0.6 : 0.13;
    case Coding::long_table:
      return wide ? 0.123 : plain ? 0.6 : 0.25;
    case Coding::uniform:
      return wide ? 0.023 : plain ? 0.3 : 0.04;
    default:
      return wide ? 0.025 : plain ? 1.0 : 0.03;
  }
}

// Weights are decoded once for four rows, or once for all and then multiplied as dense ones are.
double coded_cost(const LinearSurvey& survey, Coding coding, double weight_bytes,
                  std::int64_t rows) {
  const std::int64_t lanes = coded_linear().lanes;
  const std::int64_t outputs = (survey.outputs + lanes - 1) / lanes * lanes;
  const auto size = static_cast<double>(outputs * survey.depth);
  const double read = size * weight_bytes * read_ns(size * weight_bytes);
  const double decode = size * decode_ns(coding);
  if (rows > MOST_DIRECT) {
    return 200 + decode + std::max(read, dense_linear_cost(survey.outputs, survey.depth, rows));
  }
  const double multiply = (lanes == 16 ? 0.009 : 0.025) * static_cast<double>(rows - 1);
  return 200 + 1.1 * std::max(read, decode + size * multiply);
}

}  // namespace

bool fits_codebook(const LinearSurvey& survey) {
  const bool some = survey.non_zeros == 0 || !survey.table.empty();
  return some && survey.table.size() + (survey.has_zeros() ? 1 : 0) <= 256;
}

std::unique_ptr<LinearWeights> codebook_linear(const float* weights, const LinearSurvey& survey) {
  return std::make_unique<CodedLinear>(weights, survey.outputs, survey.depth, codebook_of(survey),
                                       "codebook");
}

std::unique_ptr<LinearWeights> half_linear(const float* weights, const LinearSurvey& survey) {
  CodeBook book;
  book.coding = survey.bfloat16 ? Coding::bfloat16 : Coding::half;
  return std::make_unique<CodedLinear>(weights, survey.outputs, survey.depth, std::move(book),
                                       "half");
}

double codebook_bytes(const LinearSurvey& survey) {
  const bool nibbles = codebook_of(survey).coding == Coding::nibbles;
  return static_cast<double>(survey.size()) * (nibbles ? 0.5 : 1);
}

double codebook_linear_cost(const LinearSurvey& survey, std::int64_t rows) {
  const Coding coding = codebook_of(survey).coding;
  return coded_cost(survey, coding, coding == Coding::nibbles ? 0.5 : 1, rows);
}

double half_linear_cost(const LinearSurvey& survey, std::int64_t rows) {
  return coded_cost(survey, survey.bfloat16 ? Coding::bfloat16 : Coding::half, 2, rows);
}

}  // namespace laconic::kernels
