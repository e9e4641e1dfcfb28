// Convolution with binary weights, faster where the inputs turn out to be signs.
#pragma once

#include <memory>

#include "kernels/layers.h"

namespace laconic::kernels {

// weights, for which is_binary (signs.h) holds, and a form of them for any input. What is planned
// from the result looks at each input: one that holds +c and -c alone is multiplied as bits
// (xnor_conv.h), any other by that form, whose name stays.
std::unique_ptr<ConvWeights> with_sign_inputs(std::unique_ptr<ConvWeights> form,
                                              const float* weights, const ConvShape& shape);

}  // namespace laconic::kernels
