// Conv.
#include "engine/operators/tables.h"

namespace laconic::engine {

std::vector<Entry> convolution_operators() { return {}; }

}  // namespace laconic::engine
