// Puts things that live for a while into as little memory as possible.
#pragma once

#include <cstddef>
#include <vector>

namespace laconic::engine {

// `bytes` of memory that are needed from step `born` to step `dies`, both included.
struct Tenant {
  std::size_t bytes = 0;
  int born = 0;
  int dies = 0;
  std::size_t place = 0;  // the answer: an offset divisible by 64
};

// Gives each tenant a place so that no two that live at once overlap: the largest first, each in
// the smallest gap that takes it (Pisarchyk & Lee, "Efficient memory management for deep neural net
// inference", 2020, greedy by size). Returns the bytes in all.
std::size_t place_tenants(std::vector<Tenant>& tenants);

}  // namespace laconic::engine
