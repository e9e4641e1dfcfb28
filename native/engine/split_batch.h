// Finds the part of a program that may run image by image.
#pragma once

#include <optional>

#include "engine/graph.h"

namespace laconic::engine {

struct SplitGraph {
  Graph first;   // index i of axis 0 of what it makes follows from index i of its inputs alone
  Graph second;  // the rest: its inputs are those of the program, then the outputs of `first`
};

// Cuts a program in two. `first` takes those inputs of the program, whose axis 0 has an open size,
// that the layers read which treat each index of axis 0 by itself; it makes what others read of
// that. Nothing where less than two convolutions would run so: it would not pay.
std::optional<SplitGraph> split_batch(const Graph& graph);

}  // namespace laconic::engine
