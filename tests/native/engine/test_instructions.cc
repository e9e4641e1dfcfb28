// Weights that were packed for one set of instructions run with it, whatever is allowed later.
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "check.h"
#include "kernels/binary_conv.h"
#include "kernels/binary_linear.h"
#include "kernels/codebook_linear.h"
#include "kernels/conv_dense.h"
#include "kernels/conv_depthwise.h"
#include "kernels/conv_winograd.h"
#include "kernels/dense_linear.h"
#include "kernels/instructions.h"
#include "kernels/int8_conv.h"
#include "kernels/int8_grid.h"
#include "kernels/int8_linear.h"
#include "kernels/sparse_conv.h"
#include "kernels/sparse_linear.h"

namespace {

using namespace laconic::kernels;

const Instructions SETS[] = {Instructions::portable, Instructions::avx2, Instructions::avx512};
constexpr std::int64_t OUTPUTS = 45, DEPTH = 270, ROWS = 37;

// Bytes at an address divisible by 64, with nothing behind them.
class Scratch {
 public:
  explicit Scratch(std::size_t bytes)
      : memory_(static_cast<std::byte*>(::operator new(bytes, std::align_val_t(64)))) {}
  ~Scratch() { ::operator delete(memory_, std::align_val_t(64)); }
  Scratch(const Scratch&) = delete;
  std::byte* data() const { return memory_; }

 private:
  std::byte* memory_;
};

std::vector<float> run(const LinearWeights& weights, std::size_t scratch_bytes) {
  const std::vector<float> x = check::Random(1).floats(ROWS * DEPTH);
  std::vector<float> y(ROWS * OUTPUTS);
  const Scratch scratch(scratch_bytes);
  Pool pool(2);
  weights.run(x.data(), DEPTH, y.data(), OUTPUTS, ROWS, {}, scratch.data(), pool);
  return y;
}

ConvShape image(std::int64_t groups) {
  ConvShape shape;
  shape.channels = 30;
  shape.outputs = groups == 1 ? OUTPUTS : 30;
  shape.groups = groups;
  shape.height = shape.out_height = 9;
  shape.width = shape.out_width = 21;
  shape.kernel_height = shape.kernel_width = 3;
  shape.pad_top = shape.pad_left = 1;
  return shape;
}

std::vector<float> run(const ConvPlan& plan, const ConvShape& shape, std::size_t scratch_bytes) {
  const std::vector<float> x =
      check::Random(1).floats(static_cast<std::size_t>(shape.channels * shape.height * 21));
  std::vector<float> y(static_cast<std::size_t>(shape.outputs * shape.height * 21));
  const Scratch scratch(scratch_bytes);
  Pool pool(2);
  plan.run(x.data(), y.data(), 1, {}, scratch.data(), pool);
  return y;
}

bool same(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// Weights that every form can keep in its way.
std::vector<float> grid(double zeros) {
  std::vector<float> weights = check::Random(2).floats(OUTPUTS * DEPTH, zeros);
  for (float& weight : weights) weight = weight == 0 ? 0.0f : weight < 0 ? -0.5f : 1.0f;
  return weights;
}

std::vector<float> signs() {
  std::vector<float> weights = grid(0);
  for (float& weight : weights) weight = weight < 0 ? -0.5f : 0.5f;
  return weights;
}

Int8Weights integers(const std::vector<float>& weights) {
  Int8Weights found;
  CHECK(int8_grid(weights.data(), OUTPUTS, DEPTH, found));
  return found;
}

using Linears = std::vector<std::pair<std::string, std::unique_ptr<LinearWeights>>>;

Linears linears() {
  const std::vector<float> dense = grid(0), sparse = grid(0.9), binary = signs();
  const std::vector<float> normal = check::Random(3).floats(OUTPUTS * DEPTH, 0.5);
  const LinearSurvey survey = survey_linear(dense.data(), OUTPUTS, DEPTH);
  Linears out;
  out.emplace_back("dense", dense_linear(normal.data(), OUTPUTS, DEPTH));
  out.emplace_back("sparse", sparse_linear(sparse.data(), OUTPUTS, DEPTH, 1));
  out.emplace_back("sparse for rows", sparse_linear(normal.data(), OUTPUTS, DEPTH, ROWS));
  out.emplace_back("codebook", codebook_linear(dense.data(), survey));
  out.emplace_back("half", half_linear(dense.data(), survey));
  out.emplace_back("binary", binary_linear(binary.data(), OUTPUTS, DEPTH));
  out.emplace_back("int8", int8_linear(integers(dense), OUTPUTS, DEPTH));
  return out;
}

struct Conv {
  std::string name;
  ConvShape shape;
  std::unique_ptr<ConvWeights> weights;
  std::unique_ptr<ConvPlan> plan;
};

std::vector<Conv> convs() {
  const ConvShape whole = image(1), each = image(30);
  const std::vector<float> dense = grid(0), sparse = grid(0.9), binary = signs();
  const std::vector<float> normal = check::Random(3).floats(OUTPUTS * DEPTH);
  ConvShape wide = whole;  // too wide for Winograd's tiles
  wide.dilation_y = wide.dilation_x = wide.pad_top = wide.pad_left = 2;
  std::vector<Conv> out;
  out.push_back({"dense", wide, dense_conv(normal.data(), wide), nullptr});
  out.push_back({"winograd", whole, winograd_conv(normal.data(), whole), nullptr});
  out.push_back({"depthwise", each, depthwise_conv(normal.data(), each), nullptr});
  out.push_back({"sparse", whole, sparse_conv(sparse.data(), whole), nullptr});
  out.push_back({"binary", whole, binary_conv(binary.data(), whole), nullptr});
  out.push_back({"int8", whole, int8_conv(integers(dense), whole), nullptr});
  for (Conv& conv : out) conv.plan = conv.weights->plan(conv.shape);
  return out;
}

void expect(bool good, const std::string& name, Instructions packed, Instructions now) {
  CHECK(good);
  if (!good) std::printf("  %s: %s, then %s\n", name.c_str(), name_of(packed), name_of(now));
}

}  // namespace

TEST("linear weights keep the instructions that they were packed for") {
  for (const Instructions packed : SETS) {
    use_at_most(packed);
    for (const auto& [name, weights] : linears()) {
      use_at_most(packed);
      const std::size_t bytes = weights->scratch_bytes(ROWS, 2);
      const std::vector<float> expected = run(*weights, bytes);
      for (const Instructions now : SETS) {
        use_at_most(now);
        expect(weights->scratch_bytes(ROWS, 2) == bytes, name, packed, now);
        expect(same(run(*weights, bytes), expected), name, packed, now);
      }
    }
  }
  use_at_most(Instructions::avx512);
}

TEST("a planned convolution keeps its instructions, and its weights may be planned again") {
  for (const Instructions packed : SETS) {
    use_at_most(packed);
    for (const Conv& conv : convs()) {
      use_at_most(packed);
      const std::size_t bytes = conv.plan->scratch_bytes(1, 2);
      const std::vector<float> expected = run(*conv.plan, conv.shape, bytes);
      for (const Instructions now : SETS) {
        use_at_most(now);
        expect(conv.plan->scratch_bytes(1, 2) == bytes, conv.name, packed, now);
        expect(same(run(*conv.plan, conv.shape, bytes), expected), conv.name, packed, now);
        const auto later = conv.weights->plan(conv.shape);
        const std::vector<float> found = run(*later, conv.shape, later->scratch_bytes(1, 2));
        expect(check::deviation(found, expected) < 1e-5, conv.name + " again", packed, now);
      }
    }
  }
  use_at_most(Instructions::avx512);
}
