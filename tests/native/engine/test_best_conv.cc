// Which form the weights of a convolution are kept in.
#include <string>
#include <vector>

#include "check.h"
#include "kernels/best_conv.h"
#include "kernels/instructions.h"

namespace {

using namespace laconic::kernels;

ConvShape three_by_three(std::int64_t channels, std::int64_t size, std::int64_t groups) {
  ConvShape shape;
  shape.channels = shape.outputs = channels;
  shape.groups = groups;
  shape.height = shape.width = shape.out_height = shape.out_width = size;
  shape.kernel_height = shape.kernel_width = 3;
  shape.pad_top = shape.pad_left = 1;
  return shape;
}

std::string form_of(const ConvShape& shape, double zeros) {
  check::Random random(5);
  const auto size = static_cast<std::size_t>(shape.outputs * shape.depth());
  return best_conv(random.floats(size, zeros).data(), shape)->form();
}

// What is expected holds for every set of instructions.
template <typename Body>
void in_every_set(const Body& body) {
  for (Instructions set : {Instructions::portable, Instructions::avx2, Instructions::avx512}) {
    use_at_most(set);
    body();
  }
  use_at_most(Instructions::avx512);
}

}  // namespace

TEST("weights without zeros are kept in full and weights with many are not") {
  ConvShape apart = three_by_three(64, 28, 1);
  apart.stride_y = apart.stride_x = 2;
  apart.out_height = apart.out_width = 14;
  in_every_set([&] {
    CHECK(form_of(apart, 0.0) == "dense");
    CHECK(form_of(three_by_three(64, 28, 1), 0.0) == "winograd");
    CHECK(form_of(three_by_three(64, 28, 1), 0.9) == "sparse");
  });
}

TEST("where the size of the images is not known the share of zeros decides") {
  in_every_set([] {
    CHECK(form_of(three_by_three(64, 0, 1), 0.3) == "dense");
    CHECK(form_of(three_by_three(64, 0, 1), 0.9) == "sparse");
  });
}

TEST("filters of one channel each are kept in the form for them") {
  CHECK(form_of(three_by_three(64, 28, 64), 0.0) == "depthwise");
}
