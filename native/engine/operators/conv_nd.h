// Conv along any number of axes, as a product with unrolled windows; convolution.cc has the fast
// one for one and two.
#pragma once

#include <memory>

#include "engine/operator.h"

namespace laconic::engine {

std::unique_ptr<Operator> make_conv_nd(Making& making);

}  // namespace laconic::engine
