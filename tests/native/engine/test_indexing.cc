#include <cmath>
#include <limits>

#include "check.h"
#include "operate.h"

using namespace check;
using Integers = std::vector<std::int64_t>;
using Floats = std::vector<float>;

namespace {

constexpr std::int64_t FAR = std::numeric_limits<std::int64_t>::max();

Integers slice(std::int64_t size, std::int64_t start, std::int64_t end, std::int64_t step) {
  const Constant x = counted<std::int64_t>({size});
  return items<std::int64_t>(operate(
      "Slice", {x, integers({start}), integers({end}), integers({0}), integers({step})})[0]);
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

Attributes axis(std::int64_t number) { return {{"axis", number}}; }

}  // namespace

TEST("Slice follows Python beyond both ends and backwards") {
  CHECK(slice(5, 1, 4, 2) == (Integers{1, 3}));
  CHECK(slice(5, -3, FAR, 1) == (Integers{2, 3, 4}));
  CHECK(slice(5, FAR, -FAR - 1, -2) == (Integers{4, 2, 0}));
  CHECK(slice(5, -2, 0, -1) == (Integers{3, 2, 1}));
  CHECK(slice(5, 4, 1, 1).empty());
  CHECK(slice(5, 0, FAR, FAR) == (Integers{0}));
  CHECK(slice(5, 4, -FAR - 1, -FAR - 1) == (Integers{4}));
  CHECK(slice(0, 0, FAR, 1).empty());
  CHECK(slice(0, FAR, -FAR - 1, -1).empty());
  CHECK(mismatches(
      "Slice", {counted<float>({2}), integers({0}), integers({1}), integers({0}), integers({0})}));
}

TEST("Slice cuts several axes at once") {
  const Constant x = counted<std::uint8_t>({3, 4});
  const Constant cut = operate(
      "Slice", {x, integers({2, 1}), integers({-4, 3}), integers({0, 1}), integers({-2, 1})})[0];
  CHECK(items<std::uint8_t>(cut) == (std::vector<std::uint8_t>{9, 10, 1, 2}));
}

TEST("Gather takes rows or items, counts from the end, and refuses what lies outside") {
  const Constant x = counted<float>({2, 3});
  const Constant where = array<std::int64_t>({2}, {-1, 0});
  CHECK(items<float>(operate("Gather", {x, where}, axis(0))[0]) == (Floats{3, 4, 5, 0, 1, 2}));
  CHECK(items<float>(operate("Gather", {x, where}, axis(1))[0]) == (Floats{2, 0, 5, 3}));
  CHECK(operate("Gather", {x, array<std::int32_t>({}, {1})}, axis(0))[0].tensor.shape == Shape{3});
  CHECK(mismatches("Gather", {x, array<std::int64_t>({1}, {2})}, axis(0)));
  CHECK(mismatches("Gather", {x, array<std::int64_t>({1}, {-3})}, axis(0)));
  CHECK(mismatches("Gather", {x, array<float>({1}, {0})}, axis(0)));
}

TEST("Gather gives the same on several threads") {
  const Constant x = counted<std::int32_t>({50, 40});
  Integers places;
  for (std::int64_t i = 0; i < 700; ++i) places.push_back(i * 7 % 50);
  const Constant where = array<std::int64_t>({700}, places);
  CHECK(items<std::int32_t>(operate("Gather", {x, where}, axis(0), 1, 3)[0]) ==
        items<std::int32_t>(operate("Gather", {x, where}, axis(0), 1, 1)[0]));
}

TEST("ScatterElements writes what GatherElements reads") {
  const Constant x = counted<double>({3, 4});
  const Constant where = array<std::int64_t>({2, 4}, {0, 2, -1, 1, 1, 0, 0, -3});
  const Constant taken = operate("GatherElements", {x, where}, axis(0))[0];
  CHECK(items<double>(taken) == (std::vector<double>{0, 9, 10, 7, 4, 1, 2, 3}));
  const Constant blank = Constant::make(DType::f64, {3, 4});
  std::fill_n(blank.tensor.as<double>(), 12, -1.0);
  const Constant back = operate("ScatterElements", {blank, where, taken}, axis(0))[0];
  CHECK(items<double>(back) == (std::vector<double>{0, 1, 2, 3, 4, -1, -1, 7, -1, 9, 10, -1}));
  CHECK(mismatches("GatherElements", {x, array<std::int64_t>({1, 5}, {0, 0, 0, 0, 0})}, axis(0)));
  CHECK(mismatches("ScatterElements", {blank, where, counted<double>({2, 3})}, axis(0)));
}

TEST("ScatterND adds each update to its piece, repeated ones too") {
  const Constant x = counted<float>({3, 2});
  const Constant where = array<std::int64_t>({3, 1}, {2, 0, 2});
  const Constant updates = array<float>({3, 2}, {1, 1, 10, 10, 100, 100});
  const Attributes add{{"reduction", std::string("add")}};
  CHECK(items<float>(operate("ScatterND", {x, where, updates}, add)[0]) ==
        (Floats{10, 11, 2, 3, 105, 106}));
  CHECK(mismatches("ScatterND", {x, array<std::int64_t>({1, 1}, {3}), counted<float>({1, 2})}));
}

TEST("GatherND takes pieces batch by batch") {
  const Constant x = counted<float>({2, 2, 2});
  const Constant where = array<std::int64_t>({2, 1}, {1, 0});
  CHECK(items<float>(operate("GatherND", {x, where}, {{"batch_dims", std::int64_t{1}}})[0]) ==
        (Floats{2, 3, 4, 5}));
  CHECK(items<float>(operate("GatherND", {x, where})[0]) == (Floats{4, 5, 6, 7, 0, 1, 2, 3}));
}

TEST("Trilu keeps one side of a diagonal") {
  const Constant x = array<std::int16_t>({2, 3}, {1, 2, 3, 4, 5, 6});
  const auto kept = [&](std::int64_t diagonal, std::int64_t upper) {
    return items<std::int16_t>(
        operate("Trilu", {x, array<std::int64_t>({}, {diagonal})}, {{"upper", upper}})[0]);
  };
  using Shorts = std::vector<std::int16_t>;
  CHECK(kept(0, 1) == (Shorts{1, 2, 3, 0, 5, 6}));
  CHECK(kept(1, 1) == (Shorts{0, 2, 3, 0, 0, 6}));
  CHECK(kept(-9, 1) == (Shorts{1, 2, 3, 4, 5, 6}));
  CHECK(kept(9, 1) == (Shorts{0, 0, 0, 0, 0, 0}));
  CHECK(kept(0, 0) == (Shorts{1, 0, 0, 4, 5, 0}));
  CHECK(kept(-9, 0) == (Shorts{0, 0, 0, 0, 0, 0}));
  CHECK(kept(9, 0) == (Shorts{1, 2, 3, 4, 5, 6}));
}

TEST("NonZero and Compress find their sizes in the values") {
  const Constant x = array<float>({2, 2}, {1, 0, NAN, 2});
  const Constant found = operate("NonZero", {x})[0];
  CHECK(found.tensor.shape == (Shape{2, 3}));
  CHECK(items<std::int64_t>(found) == (Integers{0, 1, 1, 0, 0, 1}));
  const Constant keep = array<bool>({2}, {false, true});
  CHECK(operate("Compress", {x, keep}, axis(1))[0].tensor.shape == (Shape{2, 1}));
  CHECK(items<float>(operate("Compress", {counted<float>({2, 2}), keep})[0]) == (Floats{1}));
  CHECK(mismatches("Compress", {x, array<bool>({3}, {true, true, true})}, axis(0)));
}

TEST("Range counts exactly in its own type") {
  const auto range = [](double start, double limit, double delta) {
    const auto one = [](double x) { return array<float>({}, {static_cast<float>(x)}); };
    return items<float>(operate("Range", {one(start), one(limit), one(delta)})[0]);
  };
  CHECK(range(1, 5, 2) == (Floats{1, 3}));
  CHECK(range(1, -5, -3) == (Floats{1, -2}));
  CHECK(range(5, 1, 2).empty());
  CHECK(mismatches("Range", {integers({0}), integers({1}), integers({0})}));
}

TEST("Cast has a value for every float") {
  const Constant x = array<float>({5}, {-1.7f, 300.0f, 0.0f, NAN, 1e30f});
  const auto cast = [&](std::int64_t to) { return operate("Cast", {x}, {{"to", to}})[0]; };
  CHECK(items<std::int32_t>(cast(6))[0] == -1);
  CHECK(items<std::uint8_t>(cast(2))[1] == 44);
  CHECK(items<std::int64_t>(cast(7))[4] == std::numeric_limits<std::int64_t>::min());
  CHECK(items<bool>(cast(9)) == (std::vector<bool>{true, true, false, true, true}));
}

TEST("OneHot and EyeLike place ones") {
  const Constant values = array<std::int8_t>({2}, {2, 5});
  const Constant found = operate("OneHot", {integers({1, -3, 7}), integers({3}), values})[0];
  CHECK(items<std::int8_t>(found) == (std::vector<std::int8_t>{2, 5, 2, 5, 2, 2, 2, 2, 2}));
  const Constant eye = operate("EyeLike", {counted<float>({2, 3})}, {{"k", std::int64_t{1}}})[0];
  CHECK(items<float>(eye) == (Floats{0, 1, 0, 0, 0, 1}));
}
