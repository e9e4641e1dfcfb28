// What the processor can do, asked once; and a switch for tests of the portable forms.
#pragma once

namespace laconic::coding {

// Whether functions may use AVX2.
bool has_avx2();

// Take the portable forms from now on, or those that the processor allows again.
void use_portable(bool wish);

}  // namespace laconic::coding
