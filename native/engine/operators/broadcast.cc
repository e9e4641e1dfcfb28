#include "engine/operators/broadcast.h"

namespace laconic::engine {

Shape broadcast(const Shape& a, const Shape& b) {
  const Shape& longer = a.rank() >= b.rank() ? a : b;
  const Shape& shorter = a.rank() >= b.rank() ? b : a;
  Shape out = longer;
  const int missing = longer.rank() - shorter.rank();
  for (int axis = 0; axis < shorter.rank(); ++axis) {
    std::int64_t& size = out[missing + axis];
    const std::int64_t other = shorter[axis];
    if (size != other && size != 1 && other != 1) {
      throw Mismatch("shapes " + a.text() + " and " + b.text() + " do not broadcast: " +
                     std::to_string(size) + " and " + std::to_string(other) + " meet");
    }
    if (size == 1) size = other;
  }
  return out;
}

DType common_type(const Planning& planning, const std::string& operation, int from, int to) {
  const DType type = planning.input(from).type;
  for (int input = from + 1; input < to; ++input) {
    if (planning.input(input).type != type) {
      throw Mismatch(operation + " takes inputs of one type, found " + planning.input(from).text() +
                     " and " + planning.input(input).text());
    }
  }
  return type;
}

Broadcast::Broadcast(const Shape& out, const std::vector<Shape>& operands) : count_(out.count()) {
  Places dense{};  // the stride of each operand's next axis, from the last axis on
  for (std::size_t k = 0; k < operands.size(); ++k) {
    dense[k] = 1;
    whole_[k] = operands[k].count() == count_;
  }
  sizes_[0] = 1;
  bool first = true;
  for (int axis = out.rank() - 1; axis >= 0; --axis) {
    if (out[axis] == 1) continue;
    Places strides{};
    for (std::size_t k = 0; k < operands.size(); ++k) {
      const int own = axis - (out.rank() - operands[k].rank());
      if (own < 0 || operands[k][own] == 1) continue;
      strides[k] = dense[k];
      dense[k] *= operands[k][own];
    }
    // This axis goes on where the one inside it ends, for every operand: they are one.
    bool joined = !first;
    for (std::size_t k = 0; k < operands.size() && joined; ++k) {
      joined = strides[k] == strides_[at(rank_ - 1)][k] * sizes_[at(rank_ - 1)];
    }
    if (joined) {
      sizes_[at(rank_ - 1)] *= out[axis];
      continue;
    }
    if (!first) ++rank_;
    first = false;
    sizes_[at(rank_ - 1)] = out[axis];
    strides_[at(rank_ - 1)] = strides;
  }
}

}  // namespace laconic::engine
