#include "kernels/dense_linear.h"

#include <vector>

#include "kernels/dense_tile.h"
#include "kernels/gemm.h"

namespace laconic::kernels {

namespace {

class DenseLinear final : public LinearWeights {
 public:
  DenseLinear(const float* weights, std::int64_t outputs, std::int64_t depth)
      : shape_{&dense_tile(), &panel_pack(), depth, outputs},
        panels_(static_cast<std::size_t>(shape_.floats())) {
    pack_panels(shape_, {weights, 1, depth}, 0, shape_.count(), panels_.data());
  }

  const char* form() const override { return "dense"; }
  std::size_t bytes() const override { return panels_.size() * sizeof(float); }
  std::size_t scratch_bytes(std::int64_t rows, int threads) const override {
    return panels_scratch_bytes(shape_, rows, threads);
  }
  void run(const float* x, std::int64_t x_stride, float* y, std::int64_t y_stride,
           std::int64_t rows, const Epilogue& epilogue, std::byte* scratch,
           Pool& pool) const override {
    multiply_panels(shape_, panels_.data(), rows, {x, x_stride, 1}, y, y_stride, 1.0f, epilogue,
                    scratch, pool);
  }

 private:
  PanelShape shape_;
  std::vector<float> panels_;
};

}  // namespace

std::unique_ptr<LinearWeights> dense_linear(const float* weights, std::int64_t outputs,
                                            std::int64_t depth) {
  return std::make_unique<DenseLinear>(weights, outputs, depth);
}

}  // namespace laconic::kernels
