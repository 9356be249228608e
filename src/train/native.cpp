// The few operations of LibTorch that tch has no binding for. Every function returns nullptr, or
// what went wrong as a string that the caller frees.
#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/_foreach_add.h>
#include <ATen/ops/_foreach_copy.h>
#include <ATen/ops/_foreach_lerp.h>
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/_fused_adam.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/_fused_sgd.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/CPUAllocator.h>

#ifdef __linux__
#include <sys/mman.h>
#include <unistd.h>
#endif

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

// LibTorch's allocator, with huge pages asked for where a piece is large enough to hold one. LibTorch
// does so itself where THP_MEM_ALLOC_ENABLE says so, but the environment of a process with threads
// cannot be changed.
struct HugePages final : c10::Allocator {
  c10::Allocator *own = c10::GetCPUAllocator();

  c10::DataPtr allocate(size_t n) override {
    auto data = own->allocate(n);
#ifdef __linux__
    constexpr size_t huge = size_t{2} << 20;
    if (n >= huge) {
      static const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
      const auto start = reinterpret_cast<uintptr_t>(data.get());
      const auto first = (start + page - 1) / page * page, end = (start + n) / page * page;
      // A wish: where the kernel does not grant it, the pages are small.
      (void)madvise(reinterpret_cast<void *>(first), end - first, MADV_HUGEPAGE);
    }
#endif
    return data;
  }

  bool is_simple_data_ptr(const c10::DataPtr &data) const override {
    return own->is_simple_data_ptr(data);
  }
  c10::DeleterFnPtr raw_deleter() const override { return own->raw_deleter(); }
  void copy_data(void *to, const void *from, size_t n) const override { own->copy_data(to, from, n); }
};
} // namespace

extern "C" {
// Asks for huge pages from now on. Call it while no other thread allocates tensors; it works once.
char *ncaers_huge_pages() {
  return guarded([] {
    // Never destroyed: tensors may be made while the program ends.
    static auto *pages = new HugePages;
    c10::SetCPUAllocator(pages);
  });
}

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

// `momenta` is not read when `momentum` is 0. `rate_on_device`, where there is one, is a 0-dim f32
// tensor on the parameters' device and takes the place of `rate`: a recorded step reads it anew.
char *ncaers_sgd(at::Tensor *const *parameters, at::Tensor *const *momenta, int64_t n, double rate,
                 const at::Tensor *rate_on_device, double momentum, double decay, bool nesterov) {
  return guarded([&] {
    auto all = list(parameters, n);
    auto buffers = list(momenta, momentum == 0.0 ? 0 : n);
    if (rate_on_device) {
      at::_fused_sgd_(all, gradients(all), buffers, decay, momentum, *rate_on_device, 0.0, nesterov,
                      false, false);
    } else {
      at::_fused_sgd_(all, gradients(all), buffers, decay, momentum, rate, 0.0, nesterov, false,
                      false);
    }
  });
}

// `seconds_max` is empty without amsgrad; `step` counts from 1; `rate_on_device` as above.
char *ncaers_adam(at::Tensor *const *parameters, at::Tensor *const *firsts,
                  at::Tensor *const *seconds, at::Tensor *const *seconds_max, int64_t n,
                  at::Tensor *step, double rate, const at::Tensor *rate_on_device, double decay,
                  bool amsgrad, bool decoupled) {
  return guarded([&] {
    auto all = list(parameters, n);
    auto largest = list(seconds_max, amsgrad ? n : 0);
    List steps(n, *step);
    auto grads = gradients(all);
    auto m = list(firsts, n), v = list(seconds, n);
    const auto with = [&](const auto &lr) {
      if (decoupled) {
        at::_fused_adamw_(all, grads, m, v, largest, steps, lr, 0.9, 0.999, decay, 1e-8, amsgrad,
                          false);
      } else {
        at::_fused_adam_(all, grads, m, v, largest, steps, lr, 0.9, 0.999, decay, 1e-8, amsgrad,
                         false);
      }
    };
    rate_on_device ? with(*rate_on_device) : with(rate);
  });
}

// to[i] += factor * from[i]
char *ncaers_add_all(at::Tensor *const *to, at::Tensor *const *from, int64_t n, double factor) {
  return guarded([&] { at::_foreach_add_(list(to, n), list(from, n), factor); });
}

// to[i] = from[i], in the format of to[i]
char *ncaers_copy_all(at::Tensor *const *to, at::Tensor *const *from, int64_t n) {
  return guarded([&] { at::_foreach_copy_(list(to, n), list(from, n)); });
}

// averages[i] += share * (values[i] - averages[i])
char *ncaers_average_all(at::Tensor *const *averages, at::Tensor *const *values, int64_t n,
                         double share) {
  return guarded([&] { at::_foreach_lerp_(list(averages, n), list(values, n), share); });
}

// Gives every parameter a gradient of zeros that lies in memory as the parameter does.
char *ncaers_zero_gradients(at::Tensor *const *parameters, int64_t n) {
  return guarded([&] {
    for (int64_t i = 0; i < n; ++i) parameters[i]->mutable_grad() = at::zeros_like(*parameters[i]);
  });
}

// Copies the gradients of the `copies` into those of their `originals`, then forgets the former.
char *ncaers_take_gradients(at::Tensor *const *originals, at::Tensor *const *copies, int64_t n) {
  return guarded([&] {
    List to, from;
    for (int64_t i = 0; i < n; ++i) {
      TORCH_CHECK(copies[i]->grad().defined(), "a parameter has no gradient");
      TORCH_CHECK(originals[i]->grad().defined(), "a parameter has no room for its gradient");
      to.push_back(originals[i]->grad());
      from.push_back(copies[i]->grad());
      copies[i]->mutable_grad() = at::Tensor();
    }
    at::_foreach_copy_(to, from);
  });
}

// Only operations whose result does not depend on timing (matters on CUDA).
char *ncaers_deterministic(bool on) {
  return guarded([&] {
    at::globalContext().setDeterministicAlgorithms(on, false);
    at::globalContext().setDeterministicCuDNN(on);
    // Else every fresh tensor is filled first, a launch each, so that reading what was never written
    // gives the same twice; nothing here reads that.
    at::globalContext().setDeterministicFillUninitializedMemory(false);
  });
}

// Whether products of f32 on CUDA may use ten bits of fraction.
char *ncaers_allow_tf32(bool convolutions, bool products) {
  return guarded([&] {
    at::globalContext().setAllowTF32CuBLAS(products);
    at::globalContext().setAllowTF32CuDNN(convolutions);
  });
}

char *ncaers_tf32_allowed(bool *convolutions, bool *products) {
  return guarded([&] {
    *products = at::globalContext().allowTF32CuBLAS();
    *convolutions = at::globalContext().allowTF32CuDNN();
  });
}

// A copy of a CPU tensor in memory that CUDA reads by itself; the tensor as it is when it lies there.
char *ncaers_pinned(at::Tensor **out, const at::Tensor *x) {
  return guarded([&] { *out = new at::Tensor(x->pin_memory()); });
}
}
