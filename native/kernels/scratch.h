// Pieces of the memory that a kernel is given for its run.
#pragma once

#include <cstddef>
#include <cstdint>

namespace laconic::kernels {

inline std::size_t rounded_to_line(std::size_t bytes) { return (bytes + 63) / 64 * 64; }

// Deals out pieces at addresses divisible by 64, as `begin` is. Without memory (null) the pieces
// are null and only their sizes count, so that one function describes a layout and its size.
class Pieces {
 public:
  explicit Pieces(std::byte* begin) : begin_(begin) {}
  template <typename T>
  T* take(std::int64_t count) {
    T* piece = begin_ ? reinterpret_cast<T*>(begin_ + bytes_) : nullptr;
    bytes_ += rounded_to_line(static_cast<std::size_t>(count) * sizeof(T));
    return piece;
  }
  std::size_t bytes() const { return bytes_; }

 private:
  std::byte* begin_;
  std::size_t bytes_ = 0;
};

}  // namespace laconic::kernels
