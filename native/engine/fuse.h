// Takes the neighbours of a layer into the layer: BatchNormalization, a bias, an addition, a Relu.
#pragma once

#include <functional>

#include "engine/graph.h"

namespace laconic::engine {

// What fusing needs to know of the graph around a node.
struct Surroundings {
  std::function<const Tensor*(Value)> constant;  // a constant with its data, or null
  // Whether a value exists by now and surely has the type and shape of the other.
  std::function<bool(Value, Value)> alike;
};

// Node `index` has `outputs` channels or features, its first output the rank `rank`, and its own
// bias, if any, is `bias`. Every following operator that changes this output item by item goes into
// Node::fusion, as long as nobody else reads what lies between: first scales and biases of a
// channel (BatchNormalization, Mul, Add, Sub by constants), then one addition of a tensor of the
// same shape that exists by then, then one Relu or Clip. A node that went becomes NOTHING, and its
// output the output of this one. Whether anything was fused.
bool fuse_following(Graph& graph, int index, std::int64_t outputs, int rank, const Tensor* bias,
                    const Surroundings& around);

// The operation of a node that is not there any more.
constexpr const char* NOTHING = "";

}  // namespace laconic::engine
