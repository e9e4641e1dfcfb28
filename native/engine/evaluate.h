// Runs an operator outside of a plan, when all that it reads is known.
#pragma once

#include <vector>

#include "engine/operator.h"

namespace laconic::engine {

// What the operator makes of `inputs`, whose data are there, after it was planned for them: fresh
// memory for each declared output, or that which planning filled; nothing for the others.
std::vector<Constant> evaluate(const Node& node, const Operator& operation,
                               const std::vector<const Tensor*>& inputs, const Planning& planning,
                               const Prepared* prepared);

}  // namespace laconic::engine
