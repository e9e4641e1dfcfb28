// The Python face of native/: arrays in, arrays filled, the interpreter's lock given back meanwhile.
//
// All memory comes from NumPy; nothing here allocates, converts or copies an array. The functions
// have the names, arguments and results of laconic/coding/reference.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include "bind_engine.h"
#include "coding/bits.h"
#include "coding/context.h"
#include "coding/cpu.h"
#include "coding/histogram.h"
#include "coding/huffman.h"
#include "coding/planes.h"
#include "coding/rans.h"
#include "coding/sparse.h"

namespace nb = nanobind;
using namespace nb::literals;
namespace coding = laconic::coding;

namespace {

template <typename T>
using In = nb::ndarray<const T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
template <typename T>
using Out = nb::ndarray<T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Unlocked = nb::call_guard<nb::gil_scoped_release>;

template <typename A, typename B>
void same_size(const A& first, const B& second, const char* message) {
  coding::require(first.size() == second.size(), message);
}

template <typename T>
void pack_bits(const In<T>& values, int width, const Out<std::uint8_t>& out) {
  coding::pack_bits(values.data(), values.size(), width, out.data(), out.size());
}

template <typename T>
std::int64_t unpack_bits(const In<std::uint8_t>& data, int width, const Out<T>& out) {
  return coding::unpack_bits(data.data(), data.size(), width, out.data(), out.size());
}

template <typename T>
std::int64_t histogram(const In<T>& values, const Out<T>& symbols,
                       const Out<std::int64_t>& counts) {
  same_size(symbols, counts, "symbols and counts differ in size");
  return coding::histogram(values.data(), values.size(), symbols.data(), counts.data(),
                           symbols.size());
}

template <typename T>
void huffman_encode(const In<T>& values, const In<T>& symbols, const In<std::uint8_t>& lengths,
                    const Out<std::uint8_t>& out) {
  same_size(symbols, lengths, "symbols and lengths differ in size");
  coding::huffman_encode(values.data(), values.size(), symbols.data(), lengths.data(),
                         symbols.size(), out.data(), out.size());
}

template <typename T>
std::int64_t huffman_decode(const In<std::uint8_t>& data, const In<T>& symbols,
                            const In<std::uint8_t>& lengths, const Out<T>& out) {
  same_size(symbols, lengths, "symbols and lengths differ in size");
  return coding::huffman_decode(data.data(), data.size(), symbols.data(), lengths.data(),
                                symbols.size(), out.data(), out.size());
}

template <typename T>
void gap_split(const In<T>& dense, int width, const Out<std::uint16_t>& gaps,
               const Out<T>& values) {
  same_size(gaps, values, "gaps and values differ in size");
  coding::gap_split(dense.data(), dense.size(), width, gaps.data(), values.data(), gaps.size());
}

template <typename T>
std::int64_t gap_join(const In<std::uint16_t>& gaps, const In<T>& values, const Out<T>& dense) {
  same_size(gaps, values, "gaps and values differ in size");
  return coding::gap_join(gaps.data(), values.data(), gaps.size(), dense.data(), dense.size());
}

template <typename T>
void bitmap_split(const In<T>& dense, const Out<std::uint8_t>& bits, const Out<T>& values) {
  coding::bitmap_split(dense.data(), dense.size(), bits.data(), bits.size(), values.data(),
                       values.size());
}

template <typename T>
std::int64_t bitmap_join(const In<std::uint8_t>& bits, const In<T>& values, const Out<T>& dense) {
  return coding::bitmap_join(bits.data(), bits.size(), values.data(), values.size(), dense.data(),
                             dense.size());
}

template <typename T>
void plane_split(const In<T>& items, int index, int turn, const Out<std::uint8_t>& plane) {
  same_size(items, plane, "items and plane differ in size");
  coding::plane_split(items.data(), items.size(), index, turn, plane.data());
}

template <typename T>
void plane_join(const In<std::uint8_t>& plane, int index, int turn, const Out<T>& items) {
  same_size(items, plane, "items and plane differ in size");
  coding::plane_join(plane.data(), index, turn, items.data(), items.size());
}

template <typename T>
std::int64_t rans_encode(const In<T>& values, const In<T>& symbols,
                         const In<std::uint16_t>& frequencies, int precision, std::size_t lanes,
                         const Out<std::uint8_t>& out) {
  same_size(symbols, frequencies, "symbols and frequencies differ in size");
  return coding::rans_encode(values.data(), values.size(), symbols.data(), frequencies.data(),
                             symbols.size(), precision, lanes, out.data(), out.size());
}

template <typename T>
std::int64_t rans_decode(const In<std::uint8_t>& data, const In<T>& symbols,
                         const In<std::uint16_t>& frequencies, int precision, std::size_t lanes,
                         const Out<T>& out) {
  same_size(symbols, frequencies, "symbols and frequencies differ in size");
  return coding::rans_decode(data.data(), data.size(), symbols.data(), frequencies.data(),
                             symbols.size(), precision, lanes, out.data(), out.size());
}

template <typename T>
std::int64_t context_encode(const In<T>& values, std::size_t columns, std::size_t kernel,
                            std::size_t width, T origin, int most_exponent,
                            const Out<std::uint8_t>& out) {
  return coding::context_encode(values.data(), values.size(), {columns, kernel, width}, origin,
                                most_exponent, out.data(), out.size());
}

template <typename T>
std::int64_t context_decode(const In<std::uint8_t>& data, std::size_t columns, std::size_t kernel,
                            std::size_t width, T origin, int most_exponent, const Out<T>& out) {
  return coding::context_decode(data.data(), data.size(), {columns, kernel, width}, origin,
                                most_exponent, out.data(), out.size());
}

// noconvert: an array of another type or layout is a TypeError, never a silent copy.
template <typename T>
void bind_for(nb::module_& module) {
  module.def("pack_bits", &pack_bits<T>, "values"_a.noconvert(), "width"_a,
             "out"_a.noconvert(), Unlocked());
  module.def("unpack_bits", &unpack_bits<T>, "data"_a.noconvert(), "width"_a,
             "out"_a.noconvert(), Unlocked());
  module.def("histogram", &histogram<T>, "values"_a.noconvert(), "symbols"_a.noconvert(),
             "counts"_a.noconvert(), Unlocked());
  module.def("huffman_encode", &huffman_encode<T>, "values"_a.noconvert(),
             "symbols"_a.noconvert(), "lengths"_a.noconvert(), "out"_a.noconvert(), Unlocked());
  module.def("huffman_decode", &huffman_decode<T>, "data"_a.noconvert(), "symbols"_a.noconvert(),
             "lengths"_a.noconvert(), "out"_a.noconvert(), Unlocked());
  module.def("gap_split", &gap_split<T>, "dense"_a.noconvert(), "width"_a,
             "gaps"_a.noconvert(), "values"_a.noconvert(), Unlocked());
  module.def("gap_join", &gap_join<T>, "gaps"_a.noconvert(), "values"_a.noconvert(),
             "dense"_a.noconvert(), Unlocked());
  module.def("bitmap_split", &bitmap_split<T>, "dense"_a.noconvert(), "bits"_a.noconvert(),
             "values"_a.noconvert(), Unlocked());
  module.def("bitmap_join", &bitmap_join<T>, "bits"_a.noconvert(), "values"_a.noconvert(),
             "dense"_a.noconvert(), Unlocked());
  module.def("plane_split", &plane_split<T>, "items"_a.noconvert(), "index"_a,
             "turn"_a, "plane"_a.noconvert(), Unlocked());
  module.def("plane_join", &plane_join<T>, "plane"_a.noconvert(), "index"_a,
             "turn"_a, "items"_a.noconvert(), Unlocked());
  module.def("rans_encode", &rans_encode<T>, "values"_a.noconvert(), "symbols"_a.noconvert(),
             "frequencies"_a.noconvert(), "precision"_a, "lanes"_a, "out"_a.noconvert(),
             Unlocked());
  module.def("rans_decode", &rans_decode<T>, "data"_a.noconvert(), "symbols"_a.noconvert(),
             "frequencies"_a.noconvert(), "precision"_a, "lanes"_a, "out"_a.noconvert(),
             Unlocked());
  module.def("context_encode", &context_encode<T>, "values"_a.noconvert(), "columns"_a,
             "kernel"_a, "width"_a, "origin"_a, "most_exponent"_a, "out"_a.noconvert(),
             Unlocked());
  module.def("context_decode", &context_decode<T>, "data"_a.noconvert(), "columns"_a, "kernel"_a,
             "width"_a, "origin"_a, "most_exponent"_a, "out"_a.noconvert(), Unlocked());
}

}  // namespace

NB_MODULE(_native, module) {
  module.doc() = "The inner loops of laconic.coding and the engine of laconic.runtime.";
  module.def("use_portable", &coding::use_portable, "wish"_a);
  bind_engine(module);
  bind_for<std::uint8_t>(module);
  bind_for<std::uint16_t>(module);
  bind_for<std::uint32_t>(module);
  bind_for<std::uint64_t>(module);
}
