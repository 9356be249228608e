// Batch normalisation by the batch's own statistics, then (if wanted) the maximum of 2x2 windows,
// then ReLU, as one operation on channels-last CPU tensors in f32 or bf16.
//
// LibTorch runs these as three operations with seven passes over the largest tensors of a network;
// here it is two passes forward and two backward. Sums run over fixed blocks, merged in order and
// in double precision, so that no bit depends on the number of threads. Bits may differ between
// processors with AVX-512, with AVX2 and with neither: the compiler makes a copy for each and joins
// multiplications and additions where the instructions exist.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <vector>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define FOR_EACH_CPU __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define FOR_EACH_CPU
#endif
#define INLINE static inline __attribute__((always_inline))

namespace {
using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Pixels of one block of the statistics: a quarter of a megabyte at 256 channels in f32.
constexpr int64_t PIXELS = 256;
// Rows of windows of one block of the backward sums.
constexpr int64_t ROWS = 4;
// The position of a maximum that the ReLU has cut off.
constexpr uint8_t DEAD = 4;

INLINE float load(float v) { return v; }
INLINE float load(uint16_t v) { return __builtin_bit_cast(float, uint32_t(v) << 16); }
INLINE void store(float *to, float v) { *to = v; }
// To the nearest, ties to even, as LibTorch.
INLINE void store(uint16_t *to, float v) {
  uint32_t bits = __builtin_bit_cast(uint32_t, v);
  uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  *to = uint16_t(v != v ? 0x7fc0u : rounded);
}

// Mean and sum of squared deviations of `pixels` pixels, per channel.
template <typename T>
INLINE void moments(const T *x, int64_t pixels, int64_t c, float *mean, float *squares) {
  for (int64_t k = 0; k < c; ++k) mean[k] = squares[k] = 0;
  for (int64_t p = 0; p < pixels; ++p)
    for (int64_t k = 0; k < c; ++k) mean[k] += load(x[p * c + k]);
  const float share = 1.0f / float(pixels);
  for (int64_t k = 0; k < c; ++k) mean[k] *= share;
  for (int64_t p = 0; p < pixels; ++p)
    for (int64_t k = 0; k < c; ++k) {
      float d = load(x[p * c + k]) - mean[k];
      squares[k] += d * d;
    }
}

// y = ReLU(max over the window of scale x + shift), where the maximum was, and x there.
template <typename T>
INLINE void pooled(const T *x0, const T *x1, T *y, T *peak, uint8_t *at, int64_t windows,
                   int64_t c, const float *scale, const float *shift) {
  for (int64_t w = 0; w < windows; ++w) {
    const T *a = x0 + 2 * w * c, *b = x1 + 2 * w * c;
    for (int64_t k = 0; k < c; ++k) {
      const float s = scale[k], t = shift[k];
      const float v1 = load(a[c + k]), v2 = load(b[k]), v3 = load(b[c + k]);
      float x = load(a[k]), best = x * s + t, next = v1 * s + t;
      int32_t place = 0;
      place = next > best ? 1 : place;
      x = next > best ? v1 : x;
      best = next > best ? next : best;
      next = v2 * s + t;
      place = next > best ? 2 : place;
      x = next > best ? v2 : x;
      best = next > best ? next : best;
      next = v3 * s + t;
      place = next > best ? 3 : place;
      x = next > best ? v3 : x;
      best = next > best ? next : best;
      // Written so that a value that is no number stays none.
      place = best <= 0 ? int32_t(DEAD) : place;
      store(&y[w * c + k], best <= 0 ? 0.0f : best);
      store(&peak[w * c + k], x);
      at[w * c + k] = uint8_t(place);
    }
  }
}

template <typename T>
INLINE void plain(const T *x, T *y, int64_t pixels, int64_t c, const float *scale,
                  const float *shift) {
  for (int64_t p = 0; p < pixels; ++p)
    for (int64_t k = 0; k < c; ++k) {
      float v = load(x[p * c + k]) * scale[k] + shift[k];
      store(&y[p * c + k], v <= 0 ? 0.0f : v);
    }
}

// Adds the gradients of the maxima that the ReLU let through, and their products with the centred
// values there. The values were kept on the way forward: a quarter of what x is to read.
template <typename T>
INLINE void pooled_sums(const T *peak, const T *dy, const uint8_t *at, int64_t windows, int64_t c,
                        const float *mean, float *sum, float *product) {
  for (int64_t w = 0; w < windows; ++w)
    for (int64_t k = 0; k < c; ++k) {
      const int64_t i = w * c + k;
      const int32_t place = at[i];
      float g = load(dy[i]);
      g = place == int32_t(DEAD) ? 0.0f : g;
      sum[k] += g;
      product[k] += g * (load(peak[i]) - mean[k]);
    }
}

template <typename T>
INLINE void plain_sums(const T *x, const T *dy, const T *y, int64_t pixels, int64_t c,
                       const float *mean, float *sum, float *product) {
  for (int64_t p = 0; p < pixels; ++p)
    for (int64_t k = 0; k < c; ++k) {
      float g = load(y[p * c + k]) > 0 ? load(dy[p * c + k]) : 0.0f;
      sum[k] += g;
      product[k] += g * (load(x[p * c + k]) - mean[k]);
    }
}

// dx = scale g + slope (x - mean) + offset for one corner of a window; g is the gradient where the
// maximum stood in this corner, else nothing.
template <typename T>
INLINE void corner_back(const T *x, const T *dy, const uint8_t *at, int32_t corner, T *dx,
                        int64_t c, const float *scale, const float *mean, const float *slope,
                        const float *offset) {
  for (int64_t k = 0; k < c; ++k) {
    int32_t place = at[k];
    float g = scale[k] * load(dy[k]);
    g = place == corner ? g : 0.0f;
    store(&dx[k], g + (slope[k] * (load(x[k]) - mean[k]) + offset[k]));
  }
}

template <typename T>
INLINE void pooled_back(const T *x0, const T *x1, const T *dy, const uint8_t *at, T *d0, T *d1,
                        int64_t windows, int64_t c, const float *scale, const float *mean,
                        const float *slope, const float *offset) {
  for (int64_t w = 0; w < windows; ++w) {
    const int64_t left = 2 * w * c, right = left + c;
    const T *g = dy + w * c;
    const uint8_t *place = at + w * c;
    corner_back(x0 + left, g, place, 0, d0 + left, c, scale, mean, slope, offset);
    corner_back(x0 + right, g, place, 1, d0 + right, c, scale, mean, slope, offset);
    corner_back(x1 + left, g, place, 2, d1 + left, c, scale, mean, slope, offset);
    corner_back(x1 + right, g, place, 3, d1 + right, c, scale, mean, slope, offset);
  }
}

template <typename T>
INLINE void plain_back(const T *x, const T *dy, const T *y, T *dx, int64_t pixels, int64_t c,
                       const float *scale, const float *mean, const float *slope,
                       const float *offset) {
  for (int64_t p = 0; p < pixels; ++p)
    for (int64_t k = 0; k < c; ++k) {
      float g = load(y[p * c + k]) > 0 ? load(dy[p * c + k]) : 0.0f;
      float centred = load(x[p * c + k]) - mean[k];
      store(&dx[p * c + k], scale[k] * g + (slope[k] * centred + offset[k]));
    }
}

// The compiler makes one copy of these per generation of processors; templates it cannot copy.
#define RESTRICT __restrict__
#define KERNELS(T)                                                                               \
  FOR_EACH_CPU void run_moments(const T *RESTRICT x, int64_t pixels, int64_t c,                  \
                                float *RESTRICT mean, float *RESTRICT squares) {                 \
    moments(x, pixels, c, mean, squares);                                                        \
  }                                                                                              \
  FOR_EACH_CPU void run_pooled(const T *RESTRICT x0, const T *RESTRICT x1, T *RESTRICT y,        \
                               T *RESTRICT peak, uint8_t *RESTRICT at, int64_t windows,          \
                               int64_t c, const float *RESTRICT scale,                           \
                               const float *RESTRICT shift) {                                    \
    pooled(x0, x1, y, peak, at, windows, c, scale, shift);                                       \
  }                                                                                              \
  FOR_EACH_CPU void run_plain(const T *RESTRICT x, T *RESTRICT y, int64_t pixels, int64_t c,     \
                              const float *RESTRICT scale, const float *RESTRICT shift) {        \
    plain(x, y, pixels, c, scale, shift);                                                        \
  }                                                                                              \
  FOR_EACH_CPU void run_pooled_sums(const T *RESTRICT peak, const T *RESTRICT dy,                \
                                    const uint8_t *RESTRICT at, int64_t windows, int64_t c,      \
                                    const float *RESTRICT mean, float *RESTRICT sum,             \
                                    float *RESTRICT product) {                                   \
    pooled_sums(peak, dy, at, windows, c, mean, sum, product);                                   \
  }                                                                                              \
  FOR_EACH_CPU void run_plain_sums(const T *RESTRICT x, const T *RESTRICT dy,                    \
                                   const T *RESTRICT y, int64_t pixels, int64_t c,               \
                                   const float *RESTRICT mean, float *RESTRICT sum,              \
                                   float *RESTRICT product) {                                    \
    plain_sums(x, dy, y, pixels, c, mean, sum, product);                                         \
  }                                                                                              \
  FOR_EACH_CPU void run_pooled_back(                                                             \
      const T *RESTRICT x0, const T *RESTRICT x1, const T *RESTRICT dy,                          \
      const uint8_t *RESTRICT at, T *RESTRICT d0, T *RESTRICT d1, int64_t windows, int64_t c,    \
      const float *RESTRICT scale, const float *RESTRICT mean, const float *RESTRICT slope,      \
      const float *RESTRICT offset) {                                                            \
    pooled_back(x0, x1, dy, at, d0, d1, windows, c, scale, mean, slope, offset);                 \
  }                                                                                              \
  FOR_EACH_CPU void run_plain_back(const T *RESTRICT x, const T *RESTRICT dy,                    \
                                   const T *RESTRICT y, T *RESTRICT dx, int64_t pixels,          \
                                   int64_t c, const float *RESTRICT scale,                       \
                                   const float *RESTRICT mean, const float *RESTRICT slope,      \
                                   const float *RESTRICT offset) {                               \
    plain_back(x, dy, y, dx, pixels, c, scale, mean, slope, offset);                             \
  }
KERNELS(float)
KERNELS(uint16_t)

// A channels-last map: N rows of pictures, each `height` x `width` pixels of `c` channels.
struct Shape {
  int64_t n, c, height, width;
  explicit Shape(const Tensor &x) : n(x.size(0)), c(x.size(1)), height(x.size(2)), width(x.size(3)) {}
  int64_t pixels() const { return n * height * width; }
  int64_t row() const { return width * c; }
};

template <typename T> T *memory(const Tensor &x) { return static_cast<T *>(x.data_ptr()); }

int64_t blocks_of(int64_t all, int64_t size) { return (all + size - 1) / size; }

// Mean and biased variance of every channel.
template <typename T>
void statistics(const Tensor &x, std::vector<double> &mean, std::vector<double> &variance) {
  const Shape shape(x);
  const int64_t c = shape.c, pixels = shape.pixels(), blocks = blocks_of(pixels, PIXELS);
  std::vector<float> means(blocks * c), squares(blocks * c);
  at::parallel_for(0, blocks, 1, [&](int64_t from, int64_t to) {
    for (int64_t b = from; b < to; ++b) {
      const int64_t count = std::min(PIXELS, pixels - b * PIXELS);
      run_moments(memory<T>(x) + b * PIXELS * c, count, c, &means[b * c], &squares[b * c]);
    }
  });
  std::vector<double> deviations(c, 0.0);
  mean.assign(c, 0.0);
  int64_t seen = 0;
  // Chan, Golub and LeVeque 1979: two groups merge exactly.
  for (int64_t b = 0; b < blocks; ++b) {
    const int64_t count = std::min(PIXELS, pixels - b * PIXELS), all = seen + count;
    const double share = double(count) / double(all), weight = double(seen) * share;
    for (int64_t k = 0; k < c; ++k) {
      const double apart = means[b * c + k] - mean[k];
      mean[k] += apart * share;
      deviations[k] += squares[b * c + k] + apart * apart * weight;
    }
    seen = all;
  }
  variance.resize(c);
  for (int64_t k = 0; k < c; ++k) variance[k] = deviations[k] / double(pixels);
}

// The sums of gradients over blocks of rows, merged in order: sum of g and of g (x - mean).
template <typename Block>
void merged(int64_t rows, int64_t c, std::vector<double> &sum, std::vector<double> &product,
            const Block &block) {
  const int64_t blocks = blocks_of(rows, ROWS);
  std::vector<float> sums(blocks * c, 0.0f), products(blocks * c, 0.0f);
  at::parallel_for(0, blocks, 1, [&](int64_t from, int64_t to) {
    for (int64_t b = from; b < to; ++b)
      for (int64_t row = b * ROWS; row < std::min(rows, (b + 1) * ROWS); ++row)
        block(row, &sums[b * c], &products[b * c]);
  });
  sum.assign(c, 0.0);
  product.assign(c, 0.0);
  for (int64_t b = 0; b < blocks; ++b)
    for (int64_t k = 0; k < c; ++k) {
      sum[k] += sums[b * c + k];
      product[k] += products[b * c + k];
    }
}

Tensor floats(const std::vector<double> &values) {
  Tensor out = at::empty({int64_t(values.size())}, at::kFloat);
  std::copy(values.begin(), values.end(), memory<float>(out));
  return out;
}

template <typename T>
void forward_rows(const Tensor &x, const Tensor &y, const Tensor &at, const Tensor &peak,
                  const Tensor &scale, const Tensor &shift) {
  const Shape shape(x);
  const float *s = memory<float>(scale), *t = memory<float>(shift);
  const int64_t row = shape.row(), rows = shape.n * shape.height;
  if (!at.defined()) {
    at::parallel_for(0, rows, 8, [&](int64_t from, int64_t to) {
      run_plain(memory<T>(x) + from * row, memory<T>(y) + from * row, (to - from) * shape.width,
                shape.c, s, t);
    });
    return;
  }
  at::parallel_for(0, rows / 2, 4, [&](int64_t from, int64_t to) {
    for (int64_t r = from; r < to; ++r) {
      const T *x0 = memory<T>(x) + 2 * r * row;
      const int64_t out = r * (row / 2);
      run_pooled(x0, x0 + row, memory<T>(y) + out, memory<T>(peak) + out, memory<uint8_t>(at) + out,
                 shape.width / 2, shape.c, s, t);
    }
  });
}

template <typename T>
Tensor backward_rows(const Tensor &x, const Tensor &dy, const Tensor &y, const Tensor &at,
                     const Tensor &peak, const Tensor &weight, const Tensor &mean, const Tensor &inverse,
                     std::vector<double> &sum, std::vector<double> &product) {
  const Shape shape(x);
  const int64_t c = shape.c, row = shape.row(), rows = shape.n * shape.height;
  const float *m = memory<float>(mean), *inv = memory<float>(inverse), *w = memory<float>(weight);
  const T *px = memory<T>(x), *pdy = memory<T>(dy);
  const T *py = at.defined() ? nullptr : memory<T>(y);
  const uint8_t *pat = at.defined() ? memory<uint8_t>(at) : nullptr;
  if (pat) {
    merged(rows / 2, c, sum, product, [&](int64_t r, float *s, float *p) {
      const int64_t from = r * (row / 2);
      run_pooled_sums(memory<T>(peak) + from, pdy + from, pat + from, shape.width / 2, c, m, s, p);
    });
  } else {
    merged(rows, c, sum, product, [&](int64_t r, float *s, float *p) {
      run_plain_sums(px + r * row, pdy + r * row, py + r * row, shape.width, c, m, s, p);
    });
  }
  std::vector<float> scale(c), slope(c), offset(c);
  const double n = double(shape.pixels());
  for (int64_t k = 0; k < c; ++k) {
    const double alpha = double(w[k]) * inv[k];
    scale[k] = float(alpha);
    slope[k] = float(-alpha * inv[k] * inv[k] * product[k] / n);
    offset[k] = float(-alpha * sum[k] / n);
    product[k] *= inv[k];
  }
  Tensor dx = at::empty_like(x);
  T *pd = memory<T>(dx);
  if (pat) {
    at::parallel_for(0, rows / 2, 4, [&](int64_t from, int64_t to) {
      for (int64_t r = from; r < to; ++r) {
        const T *x0 = px + 2 * r * row;
        T *d0 = pd + 2 * r * row;
        run_pooled_back(x0, x0 + row, pdy + r * (row / 2), pat + r * (row / 2), d0, d0 + row,
                        shape.width / 2, c, scale.data(), m, slope.data(), offset.data());
      }
    });
  } else {
    at::parallel_for(0, rows, 8, [&](int64_t from, int64_t to) {
      run_plain_back(px + from * row, pdy + from * row, py + from * row, pd + from * row,
                     (to - from) * shape.width, c, scale.data(), m, slope.data(), offset.data());
    });
  }
  return dx;
}

// `ahead` is a bias that was left out in front of the normalisation: it reaches the running mean
// only, and its gradient is zero.
struct NormRelu : torch::autograd::Function<NormRelu> {
  static Tensor forward(AutogradContext *context, const Tensor &x, const Tensor &weight,
                        const Tensor &bias, const std::optional<Tensor> &ahead, Tensor running_mean,
                        Tensor running_variance, double momentum, double eps, bool pool) {
    const Shape shape(x);
    const bool half = x.scalar_type() == at::kBFloat16;
    std::vector<double> mean, variance;
    half ? statistics<uint16_t>(x, mean, variance) : statistics<float>(x, mean, variance);
    const int64_t c = shape.c;
    const double n = double(shape.pixels());
    std::vector<double> inverse(c), scale(c), shift(c);
    float *rm = memory<float>(running_mean), *rv = memory<float>(running_variance);
    const float *w = memory<float>(weight), *b = memory<float>(bias);
    const float *a = ahead ? memory<float>(*ahead) : nullptr;
    for (int64_t k = 0; k < c; ++k) {
      inverse[k] = 1.0 / std::sqrt(variance[k] + eps);
      scale[k] = w[k] * inverse[k];
      shift[k] = b[k] - mean[k] * scale[k];
      const double unbiased = variance[k] * n / (n - 1.0);
      rm[k] = float((1.0 - momentum) * rm[k] + momentum * (mean[k] + (a ? a[k] : 0.0f)));
      rv[k] = float((1.0 - momentum) * rv[k] + momentum * unbiased);
    }
    const auto layout = at::MemoryFormat::ChannelsLast;
    Tensor y, at, peak;
    if (pool) {
      const std::vector<int64_t> size{shape.n, c, shape.height / 2, shape.width / 2};
      y = at::empty(size, x.options(), layout);
      at = at::empty(size, x.options().dtype(at::kByte), layout);
      peak = at::empty_like(y);
    } else {
      y = at::empty_like(x);
    }
    const Tensor s = floats(scale), t = floats(shift);
    half ? forward_rows<uint16_t>(x, y, at, peak, s, t) : forward_rows<float>(x, y, at, peak, s, t);
    context->save_for_backward({x, pool ? at : y, weight, floats(mean), floats(inverse), peak});
    context->saved_data["pool"] = pool;
    context->saved_data["ahead"] = a != nullptr;
    return y;
  }

  static variable_list backward(AutogradContext *context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const Tensor &x = saved[0], &weight = saved[2];
    const bool pool = context->saved_data["pool"].toBool();
    const Tensor none, dy = gradients[0].contiguous(at::MemoryFormat::ChannelsLast);
    const Tensor &y = pool ? none : saved[1], &at = pool ? saved[1] : none;
    std::vector<double> sum, product;
    const auto back = x.scalar_type() == at::kBFloat16 ? backward_rows<uint16_t> : backward_rows<float>;
    const Tensor dx = back(x, dy, y, at, saved[5], weight, saved[3], saved[4], sum, product);
    const Tensor ahead = context->saved_data["ahead"].toBool() ? at::zeros_like(weight) : none;
    return {dx, floats(product), floats(sum), ahead, none, none, none, none, none};
  }
};

// The kernels walk memory without looking: everything must be of the kind that they expect.
void check(const Tensor &x, const Tensor &weight, const Tensor &bias, const Tensor *ahead,
           const Tensor &mean, const Tensor &variance, bool pool) {
  const auto type = x.scalar_type();
  TORCH_CHECK(x.device().is_cpu() && x.dim() == 4, "the input is no CPU tensor of 4 dimensions");
  TORCH_CHECK(type == at::kFloat || type == at::kBFloat16, "the input is neither f32 nor bf16");
  TORCH_CHECK(x.is_contiguous(at::MemoryFormat::ChannelsLast), "the input is not channels last");
  TORCH_CHECK(x.numel() > 0 && x.size(0) * x.size(2) * x.size(3) > 1,
              "statistics of a batch need more than one value per channel");
  TORCH_CHECK(!pool || (x.size(2) % 2 == 0 && x.size(3) % 2 == 0), "pooling needs even sides");
  for (const Tensor *of : {&weight, &bias, ahead, &mean, &variance}) {
    if (!of) continue;
    TORCH_CHECK(of->device().is_cpu() && of->scalar_type() == at::kFloat && of->is_contiguous() &&
                    of->dim() == 1 && of->size(0) == x.size(1),
                "a value per channel is not a contiguous f32 CPU tensor of ", x.size(1));
  }
}

// What went wrong, as a string that the caller frees. Without the few bytes for it nothing can be
// told, and a failure must not pass for success.
char *message(const char *what) {
  char *copy = strdup(what);
  if (!copy) std::abort();
  return copy;
}
} // namespace

extern "C" {
// `ahead` may be null. On success returns nullptr and puts a new tensor into `out`; else returns
// what went wrong as a string that the caller frees.
char *ncaers_norm_relu(at::Tensor **out, const at::Tensor *x, const at::Tensor *weight,
                       const at::Tensor *bias, const at::Tensor *ahead, const at::Tensor *mean,
                       const at::Tensor *variance, double momentum, double eps, bool pool) {
  try {
    check(*x, *weight, *bias, ahead, *mean, *variance, pool);
    const auto bias_ahead = ahead ? std::optional<Tensor>(*ahead) : std::nullopt;
    *out = new at::Tensor(NormRelu::apply(*x, *weight, *bias, bias_ahead, *mean, *variance,
                                          momentum, eps, pool));
    return nullptr;
  } catch (const std::exception &error) {
    return message(error.what());
  } catch (...) {
    return message("an exception of unknown type");
  }
}
}
