// Buffers that sanitizers see the ends of, and a check that stops at the first fault.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

// An array of its own allocation, without the spare capacity of a vector.
template <typename T>
struct Exact {
  explicit Exact(std::size_t count) : items(new T[count]()), size(count) {}
  explicit Exact(const std::vector<T>& from) : Exact(from.size()) {
    for (std::size_t i = 0; i < size; ++i) items[i] = from[i];
  }
  T* data() const { return items.get(); }
  T& operator[](std::size_t i) const { return items[i]; }
  bool operator==(const Exact& other) const {
    if (size != other.size) return false;
    for (std::size_t i = 0; i < size; ++i) {
      if (items[i] != other[i]) return false;
    }
    return true;
  }
  std::unique_ptr<T[]> items;
  std::size_t size;
};

inline void expect(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "FAILED: %s\n", what);
  std::abort();
}
