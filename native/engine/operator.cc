#include "engine/operator.h"

namespace laconic::engine {

namespace {

// Mismatch unless an array may have this shape.
void require_sizes(const Shape& shape) {
  for (std::int64_t size : shape) {
    if (size < 0) throw Mismatch("an output would have the shape " + shape.text());
  }
  shape.count();  // Mismatch when it is too large
}

}  // namespace

const Tensor& Planning::input(int index) const {
  if (!has(index)) throw Mismatch("input " + std::to_string(index) + " is absent");
  return *inputs_[static_cast<std::size_t>(index)];
}

const Tensor& Planning::value(int index) const {
  const Tensor& found = input(index);
  if (found.data == nullptr && found.count() > 0) throw NeedsValues();
  return found;
}

std::vector<std::int64_t> Planning::integers(int index) const {
  const Tensor& found = value(index);
  const auto size = static_cast<std::size_t>(found.count());
  std::vector<std::int64_t> out(size);
  if (found.type == DType::i32) {
    for (std::size_t i = 0; i < size; ++i) out[i] = found.as<std::int32_t>()[i];
  } else {
    for (std::size_t i = 0; i < size; ++i) out[i] = found.as<std::int64_t>()[i];
  }
  return out;
}

std::vector<double> Planning::reals(int index) const {
  const Tensor& found = value(index);
  std::vector<double> out(static_cast<std::size_t>(found.count()));
  with_type(found.type, [&](auto item) {
    const auto* items = found.as<decltype(item)>();
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<double>(items[i]);
  });
  return out;
}

bool Planning::makes_nothing() const {
  for (const Output& output : outputs_) {
    if (output.declared && output.tensor.count() > 0) return false;
  }
  return true;
}

Planning::Output& Planning::declare(int index) {
  if (index >= outputs()) {
    throw Mismatch("the program wants " + std::to_string(outputs()) + " outputs, not " +
                   std::to_string(index + 1));
  }
  Output& out = outputs_[static_cast<std::size_t>(index)];
  out.declared = true;
  return out;
}

void Planning::require_wanted() const {
  for (int i = 0; i < outputs(); ++i) {
    if (wants(i) && !outputs_[static_cast<std::size_t>(i)].declared) {
      throw Mismatch("it makes fewer than the " + std::to_string(outputs()) +
                     " outputs that the program wants");
    }
  }
}

void Planning::output(int index, DType type, const Shape& shape) {
  require_sizes(shape);
  declare(index).tensor = {type, shape, nullptr};
}

void Planning::alias(int output, int input, const Shape& shape) {
  const Tensor& source = this->input(input);
  require_sizes(shape);
  if (shape.count() != source.count()) {
    throw Mismatch(source.text() + " has no shape " + shape.text());
  }
  Output& out = declare(output);
  out.tensor = {source.type, shape, source.data};
  out.alias = input;
}

void* Planning::known_memory(int index, DType type, const Shape& shape) {
  require_sizes(shape);
  const Constant memory = Constant::make(type, shape);
  Output& out = declare(index);
  out.tensor = memory.tensor;
  out.owner = memory.owner;
  return memory.tensor.data;
}

void Planning::may_overwrite(int output, int input) {
  outputs_[static_cast<std::size_t>(output)].overwrites = input;
}

}  // namespace laconic::engine
