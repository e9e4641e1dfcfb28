#include "kernels/sign_inputs.h"

#include <algorithm>

#include "kernels/xnor_conv.h"

namespace laconic::kernels {

namespace {

class Plan final : public ConvPlan {
 public:
  Plan(std::unique_ptr<XnorConvPlan> signs, std::unique_ptr<ConvPlan> any)
      : signs_(std::move(signs)), any_(std::move(any)) {}

  std::size_t scratch_bytes(std::int64_t images, int threads) const override {
    return std::max(signs_->scratch_bytes(images, threads), any_->scratch_bytes(images, threads));
  }

  void run(const float* x, float* y, std::int64_t images, const Epilogue& epilogue,
           std::byte* scratch, Pool& pool) const override {
    if (signs_->run(x, y, images, epilogue, scratch, pool)) return;
    any_->run(x, y, images, epilogue, scratch, pool);
  }

 private:
  std::unique_ptr<XnorConvPlan> signs_;
  std::unique_ptr<ConvPlan> any_;
};

class Weights final : public ConvWeights {
 public:
  Weights(std::unique_ptr<ConvWeights> form, const float* weights, const ConvShape& shape)
      : form_(std::move(form)), signs_(weights, shape) {}
  const char* form() const override { return form_->form(); }
  std::size_t bytes() const override { return form_->bytes() + signs_.bytes(); }
  std::unique_ptr<ConvPlan> plan(const ConvShape& shape) const override {
    return std::make_unique<Plan>(signs_.plan(shape), form_->plan(shape));
  }

 private:
  std::unique_ptr<ConvWeights> form_;
  XnorConv signs_;
};

}  // namespace

std::unique_ptr<ConvWeights> with_sign_inputs(std::unique_ptr<ConvWeights> form,
                                              const float* weights, const ConvShape& shape) {
  return std::make_unique<Weights>(std::move(form), weights, shape);
}

}  // namespace laconic::kernels
