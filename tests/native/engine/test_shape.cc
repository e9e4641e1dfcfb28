#include "check.h"
#include "engine/operators/copying.h"
#include "operate.h"

using namespace check;
using Integers = std::vector<std::int64_t>;

namespace {

// x [sizes] with its axes in another order, item by item.
template <typename T>
std::vector<T> transposed(const Constant& x, const Integers& order) {
  const Shape& shape = x.tensor.shape;
  const Integers strides = strides_of(shape);
  const T* from = x.tensor.as<T>();
  std::vector<T> out;
  Integers place(order.size(), 0);
  for (std::int64_t i = 0; i < shape.count(); ++i) {
    std::int64_t offset = 0;
    for (std::size_t a = 0; a < order.size(); ++a) {
      offset += place[a] * strides[static_cast<std::size_t>(order[a])];
    }
    out.push_back(from[offset]);
    for (std::size_t a = order.size(); a-- > 0;) {
      if (++place[a] < shape[static_cast<int>(order[a])]) break;
      place[a] = 0;
    }
  }
  return out;
}

template <typename T>
void check_transposes(const Shape& shape, int threads) {
  const Constant x = counted<T>(shape);
  Integers order;
  for (int axis = 0; axis < shape.rank(); ++axis) order.push_back(axis);
  do {
    const Constant found = operate("Transpose", {x}, {{"perm", order}}, 1, threads)[0];
    CHECK(items<T>(found) == transposed<T>(x, order));
    for (std::size_t i = 0; i < order.size(); ++i) {
      CHECK(found.tensor.shape[static_cast<int>(i)] == shape[static_cast<int>(order[i])]);
    }
  } while (std::next_permutation(order.begin(), order.end()));
}

bool mismatches(const std::string& operation, const std::vector<Constant>& inputs,
                const Attributes& attributes = {}) {
  try {
    operate(operation, inputs, attributes);
  } catch (const Mismatch&) {
    return true;
  }
  return false;
}

}  // namespace

TEST("Transpose equals a walk over the items for every order of the axes") {
  check_transposes<float>({3, 1, 37, 18}, 1);
  check_transposes<std::uint8_t>({2, 3, 2, 5}, 1);
  check_transposes<std::int64_t>({5, 33}, 1);
  check_transposes<std::uint16_t>({0, 3}, 1);
}

TEST("Transpose gives the same on several threads") {
  check_transposes<float>({37, 65, 19}, 1);
  check_transposes<float>({37, 65, 19}, 3);
}

TEST("Reshape copies sizes, finds the open one and refuses what does not fit") {
  const Constant x = counted<float>({2, 3, 4});
  CHECK(operate("Reshape", {x, integers({0, -1})})[0].tensor.shape == (Shape{2, 12}));
  CHECK(operate("Reshape", {x, integers({4, 6})})[0].tensor.data == x.tensor.data);
  CHECK(mismatches("Reshape", {x, integers({5, -1})}));
  CHECK(mismatches("Reshape", {x, integers({-1, -1})}));
  CHECK(mismatches("Reshape", {x, integers({-2, 12})}));
  CHECK(mismatches("Reshape", {x, integers({1, 1, 1, 0})}));
}

TEST("Squeeze and Unsqueeze take and give axes of size 1") {
  const Constant x = counted<float>({1, 3, 1, 4});
  CHECK(operate("Squeeze", {x})[0].tensor.shape == (Shape{3, 4}));
  CHECK(operate("Squeeze", {x, integers({-2})})[0].tensor.shape == (Shape{1, 3, 4}));
  CHECK(operate("Unsqueeze", {x, integers({-1, 0})})[0].tensor.shape == (Shape{1, 1, 3, 1, 4, 1}));
  CHECK(mismatches("Squeeze", {x, integers({1})}));
  CHECK(mismatches("Unsqueeze", {x, integers({0, 0})}));
}

TEST("Split undoes Concat on every axis") {
  const Constant a = counted<std::int32_t>({2, 3, 4}), b = counted<std::int32_t>({2, 3, 4});
  for (std::int64_t axis : {0, 1, -1}) {
    const Constant both = operate("Concat", {a, b, a}, {{"axis", axis}})[0];
    const auto parts = operate("Split", {both}, {{"axis", axis}}, 3);
    for (const Constant& part : parts) {
      CHECK(part.tensor.shape == a.tensor.shape);
      CHECK(items<std::int32_t>(part) == items<std::int32_t>(a));
    }
  }
  CHECK(mismatches("Concat", {a, counted<std::int32_t>({2, 4, 4})}, {{"axis", std::int64_t{0}}}));
}

TEST("Pad frames with a value, with reflections, edges and turns, and cuts") {
  const Constant x = array<float>({4}, {1, 2, 3, 4});
  const auto padded = [&](const std::string& mode, const Integers& pads) {
    return items<float>(operate("Pad", {x, integers(pads)}, {{"mode", mode}})[0]);
  };
  using Floats = std::vector<float>;
  CHECK(padded("constant", {2, 1}) == (Floats{0, 0, 1, 2, 3, 4, 0}));
  CHECK(padded("constant", {-1, -2}) == (Floats{2}));
  CHECK(padded("constant", {-1, 2}) == (Floats{2, 3, 4, 0, 0}));
  CHECK(padded("reflect", {2, 5}) == (Floats{3, 2, 1, 2, 3, 4, 3, 2, 1, 2, 3}));
  CHECK(padded("edge", {1, 2}) == (Floats{1, 1, 2, 3, 4, 4, 4}));
  CHECK(padded("wrap", {1, 5}) == (Floats{4, 1, 2, 3, 4, 1, 2, 3, 4, 1}));
}

TEST("Expand and Tile repeat") {
  const Constant x = counted<std::int16_t>({2, 1, 3});
  const Constant wide = operate("Expand", {x, integers({2, 1, 2, 1})})[0];
  CHECK(wide.tensor.shape == (Shape{2, 2, 2, 3}));
  CHECK(items<std::int16_t>(wide) ==
        (std::vector<std::int16_t>{0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5,
                                   0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5}));
  const Constant tiled = operate("Tile", {counted<double>({1, 2}), integers({2, 2})})[0];
  CHECK(items<double>(tiled) == (std::vector<double>{0, 1, 0, 1, 0, 1, 0, 1}));
}

TEST("SpaceToDepth undoes DepthToSpace") {
  const Constant x = counted<float>({2, 8, 3, 5});
  const Attributes block{{"blocksize", std::int64_t{2}}};
  const Constant space = operate("DepthToSpace", {x}, block)[0];
  CHECK(space.tensor.shape == (Shape{2, 2, 6, 10}));
  CHECK(items<float>(operate("SpaceToDepth", {space}, block)[0]) == items<float>(x));
}
