// Vectors of the processor's own width, and a few functions on them.
//
// They are GCC's (clang knows them too), so the same lines become AVX-512, AVX2 or NEON.

#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <vector>

namespace {

constexpr int PAGE = 64;  // tokens of a page
#if defined(__AVX512F__)
constexpr int LANES = 16;
#elif defined(__AVX2__)
constexpr int LANES = 8;
#else
constexpr int LANES = 4;
#endif
template <int WIDTH>
struct Vector {
  typedef float Type __attribute__((vector_size(WIDTH * 4), aligned(4), may_alias));
};
typedef Vector<LANES>::Type Floats;
typedef int32_t Ints __attribute__((vector_size(LANES * 4), aligned(4), may_alias));

constexpr float INF = std::numeric_limits<float>::infinity();

inline Floats load(const float* p) { return *reinterpret_cast<const Floats*>(p); }
inline void store(float* p, Floats x) { *reinterpret_cast<Floats*>(p) = x; }
inline Floats splat(float x) { return x - Floats{}; }  // 0 + x would be an addition: of -0
inline Floats larger(Floats a, Floats b) { return a > b ? a : b; }
inline float sum(Floats x) {
  float part[LANES];
  store(part, x);
#pragma GCC unroll 4
  for (int half = LANES / 2; half > 0; half /= 2)
#pragma GCC unroll 8
    for (int i = 0; i < half; i++) part[i] += part[i + half];
  return part[0];
}

// Memory for what a function works on; not set to anything.
template <class T>
struct Buffer {
  std::unique_ptr<T[]> memory;
  explicit Buffer(int64_t count) : memory(new T[count]) {}
  operator T*() const { return memory.get(); }
};

inline float dot(const float* a, const float* b, int64_t n) {
  Floats total = {};
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES) total += load(a + i) * load(b + i);
  float rest = sum(total);
  for (; i < n; i++) rest += a[i] * b[i];
  return rest;
}

// e^x for x <= 0, relative error about 1e-7; below -87 it is 0, and so for -inf and NaN.
inline Floats exponential(Floats x) {
  Ints keep = x > splat(-87.0f);
  x = keep ? x : Floats{};
  Floats n = x * 1.44269504f - 0.5f;
  Ints whole = __builtin_convertvector(n, Ints);  // towards zero: rounds to the nearest, x <= 0
  n = __builtin_convertvector(whole, Floats);
  Floats r = (x - n * 0.693359375f) - n * -2.12194440e-4f;  // ln 2 in two parts
  Floats p = splat(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  Ints power = (whole + 127) << 23;
  p *= (Floats)power;  // its bits
  return keep ? p : Floats{};
}

// gate = SiLU(gate) x up; e^-|x| never overflows.
inline void swiglu(float* gate, const float* up, int64_t n) {
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES) {
    const Floats x = load(gate + i);
    const Floats e = exponential(x > Floats{} ? -x : x);
    store(gate + i, x * (x > Floats{} ? splat(1.0f) : e) / (e + 1.0f) * load(up + i));
  }
  for (; i < n; i++) gate[i] *= up[i] / (1 + std::exp(-gate[i]));
}

}  // namespace
