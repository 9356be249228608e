// The few operations of LibTorch that tch has no binding for. Every function returns nullptr, or
// what went wrong as a string that the caller frees.
#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/_fused_adam.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/_fused_sgd.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/stack.h>

#include <cstdlib>
#include <cstring>
#include <functional>
#include <vector>

namespace {
using List = std::vector<at::Tensor>;

// What went wrong, as a string that the caller frees. Without the few bytes for it nothing can be
// told, and a failure must not pass for success.
char *message(const char *what) {
  char *copy = strdup(what);
  if (!copy) std::abort();
  return copy;
}

char *guarded(const std::function<void()> &body) {
  try {
    body();
    return nullptr;
  } catch (const std::exception &error) {
    return message(error.what());
  } catch (...) {
    return message("an exception of unknown type");
  }
}

List list(at::Tensor *const *tensors, int64_t n) {
  List all;
  all.reserve(n);
  for (int64_t i = 0; i < n; ++i) all.push_back(*tensors[i]);
  return all;
}

// The fused kernels walk flat memory, so every gradient must lie in memory as its parameter does.
List gradients(const List &parameters) {
  List all;
  all.reserve(parameters.size());
  for (const auto &parameter : parameters) {
    const auto &gradient = parameter.grad();
    TORCH_CHECK(gradient.defined(), "a parameter has no gradient");
    all.push_back(gradient.strides() == parameter.strides()
                      ? gradient
                      : at::empty_like(parameter).copy_(gradient));
  }
  return all;
}
} // namespace

extern "C" {
char *ncaers_clear_gradients(at::Tensor *const *parameters, int64_t n) {
  return guarded([&] {
    for (int64_t i = 0; i < n; ++i) parameters[i]->mutable_grad() = at::Tensor();
  });
}

// Scales all gradients so that their common L2 norm is at most `limit`; no synchronisation.
char *ncaers_clip_gradients(at::Tensor *const *parameters, int64_t n, double limit) {
  return guarded([&] {
    List all;
    for (int64_t i = 0; i < n; ++i) all.push_back(parameters[i]->grad());
    auto norm = at::stack(at::_foreach_norm(all, 2.0)).norm(2.0);
    at::_foreach_mul_(all, (limit / (norm + 1e-6)).clamp_max(1.0));
  });
}

// `momenta` is not read when `momentum` is 0.
char *ncaers_sgd(at::Tensor *const *parameters, at::Tensor *const *momenta, int64_t n, double rate,
                 double momentum, double decay, bool nesterov) {
  return guarded([&] {
    auto all = list(parameters, n);
    auto buffers = list(momenta, momentum == 0.0 ? 0 : n);
    at::_fused_sgd_(all, gradients(all), buffers, decay, momentum, rate, 0.0, nesterov,
                    false, false);
  });
}

// `seconds_max` is empty without amsgrad; `step` counts from 1.
char *ncaers_adam(at::Tensor *const *parameters, at::Tensor *const *firsts,
                  at::Tensor *const *seconds, at::Tensor *const *seconds_max, int64_t n,
                  at::Tensor *step, double rate, double decay, bool amsgrad, bool decoupled) {
  return guarded([&] {
    auto all = list(parameters, n);
    auto largest = list(seconds_max, amsgrad ? n : 0);
    List steps(n, *step);
    auto grads = gradients(all);
    auto m = list(firsts, n), v = list(seconds, n);
    if (decoupled) {
      at::_fused_adamw_(all, grads, m, v, largest, steps, rate, 0.9, 0.999, decay, 1e-8, amsgrad,
                        false);
    } else {
      at::_fused_adam_(all, grads, m, v, largest, steps, rate, 0.9, 0.999, decay, 1e-8, amsgrad,
                       false);
    }
  });
}

// Only operations whose result does not depend on timing (matters on CUDA).
char *ncaers_deterministic(bool on) {
  return guarded([&] {
    at::globalContext().setDeterministicAlgorithms(on, false);
    at::globalContext().setDeterministicCuDNN(on);
  });
}

char *ncaers_allow_tf32(bool on) {
  return guarded([&] {
    at::globalContext().setAllowTF32CuBLAS(on);
    at::globalContext().setAllowTF32CuDNN(on);
  });
}

// A copy of a CPU tensor in memory that CUDA reads by itself; the tensor as it is when it lies there.
char *ncaers_pinned(at::Tensor **out, const at::Tensor *x) {
  return guarded([&] { *out = new at::Tensor(x->pin_memory()); });
}
}
