// MatMul and Gemm.
#include "engine/operators/tables.h"

namespace laconic::engine {

std::vector<Entry> linear_operators() { return {}; }

}  // namespace laconic::engine
