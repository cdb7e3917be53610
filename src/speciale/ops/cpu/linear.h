// Few rows times matrices, as in decoding: y [rows, outputs] = x [rows, dim] times weight [outputs,
// dim], transposed. Each weight is read once for all rows.

#pragma once

#include <initializer_list>

#include "vector.h"

namespace {

constexpr int64_t BLOCK = 32;  // outputs of a piece of work
constexpr int64_t SINGLE = 4;  // up to so many rows each is taken by itself

// The rows of a product, made ready. Few stay as they are; of more, `width` lie side by side in
// vectors, [tile, dim, width], so that no sum runs across a vector. `row(i)` is a pointer.
struct Rows {
  int64_t count, dim;
  Buffer<float> packed;
  Rows(int64_t count, int64_t dim) : count(count), dim(dim), packed(tiles() * dim * width()) {}
  bool single() const { return count <= SINGLE; }
  int64_t width() const { return single() ? 1 : count <= LANES / 2 ? LANES / 2 : LANES; }
  int64_t tiles() const { return (count + width() - 1) / width(); }
  template <class Row>
  void pack(int64_t tile, Row row) {
    float* to = packed + tile * dim * width();
    if (single()) {
      std::memcpy(to, row(tile), dim * sizeof(float));
      return;
    }
    const int64_t lanes = width();
    for (int64_t first = 0; first < dim; first += 16) {  // what is written stays in the cache
      const int64_t last = std::min(dim, first + 16);
      for (int64_t j = 0; j < lanes; j++) {
        const int64_t i = tile * lanes + j;
        const float* from = i < count ? row(i) : nullptr;
        for (int64_t d = first; d < last; d++) to[d * lanes + j] = from ? from[d] : 0.0f;
      }
    }
  }
};

// One weight row at a time, which the processor reads ahead, with ROWS rows of x.
template <int ROWS>
inline void dot_rows(const float* x, int64_t dim, const float* weight, float* y, int64_t y_stride) {
  constexpr int STEPS = 4;
  Floats dot[ROWS][STEPS] = {};
  int64_t d = 0;
  for (; d + STEPS * LANES <= dim; d += STEPS * LANES) {
#pragma GCC unroll 4
    for (int k = 0; k < STEPS; k++) {
      const Floats w = load(weight + d + k * LANES);
#pragma GCC unroll 4
      for (int m = 0; m < ROWS; m++) dot[m][k] += w * load(x + m * dim + d + k * LANES);
    }
  }
#pragma GCC unroll 4
  for (int m = 0; m < ROWS; m++) {
    float total = sum((dot[m][0] + dot[m][1]) + (dot[m][2] + dot[m][3]));
    for (int64_t rest = d; rest < dim; rest++) total += x[m * dim + rest] * weight[rest];
    y[m * y_stride] = total;
  }
}

// OUT weight rows with a tile of x, WIDTH rows in a vector.
template <int OUT, int WIDTH>
inline void dot_x_tile(const float* tile, int64_t dim, const float* weight, float* y,
                     int64_t y_stride, int64_t rows) {
  typedef typename Vector<WIDTH>::Type Lanes;
  Lanes dot[OUT] = {};
  for (int64_t d = 0; d < dim;) {
#pragma GCC unroll 16
    for (int o = 0; o < OUT; o++) __builtin_prefetch(weight + (OUT + o) * dim + d);  // what is next
    for (const int64_t line = std::min(dim, d + 16); d < line; d++) {
      const Lanes x = *reinterpret_cast<const Lanes*>(tile + d * WIDTH);
#pragma GCC unroll 16
      for (int o = 0; o < OUT; o++) dot[o] += x * weight[o * dim + d];
    }
  }
  float turned[OUT][WIDTH];
  for (int o = 0; o < OUT; o++) std::memcpy(turned[o], &dot[o], sizeof(Lanes));
  for (int64_t m = 0; m < rows; m++)
    for (int o = 0; o < OUT; o++) y[m * y_stride + o] = turned[o][m];
}

template <int WIDTH>
void dot_tiles(const Rows& x, const float* weight, int64_t begin, int64_t end, float* y,
               int64_t y_stride) {
  constexpr int OUT = 8;
  for (int64_t o = begin; o < end; o += OUT)
    for (int64_t tile = 0; tile < x.tiles(); tile++) {
      const int64_t rows = std::min<int64_t>(WIDTH, x.count - tile * WIDTH);
      const float* from = x.packed + tile * x.dim * WIDTH;
      float* to = y + tile * WIDTH * y_stride;
      if (o + OUT <= end)
        dot_x_tile<OUT, WIDTH>(from, x.dim, weight + o * x.dim, to + o, y_stride, rows);
      else
        for (int64_t rest = o; rest < end; rest++)
          dot_x_tile<1, WIDTH>(from, x.dim, weight + rest * x.dim, to + rest, y_stride, rows);
    }
}

// Outputs begin..end-1 of the product; y has a row of y_stride for each row of x.
void linear_part(const Rows& x, const float* weight, int64_t begin, int64_t end, float* y,
                 int64_t y_stride) {
  if (x.width() == LANES) return dot_tiles<LANES>(x, weight, begin, end, y, y_stride);
  if (!x.single()) return dot_tiles<LANES / 2>(x, weight, begin, end, y, y_stride);
  for (int64_t o = begin; o < end; o++) {
    const float* w = weight + o * x.dim;
    if (x.count == 4) dot_rows<4>(x.packed, x.dim, w, y + o, y_stride);
    if (x.count == 3) dot_rows<3>(x.packed, x.dim, w, y + o, y_stride);
    if (x.count == 2) dot_rows<2>(x.packed, x.dim, w, y + o, y_stride);
    if (x.count == 1) dot_rows<1>(x.packed, x.dim, w, y + o, y_stride);
  }
}

// One of several matrices that the same rows are multiplied with.
struct Product {
  const float* weight;
  int64_t outputs;
  float* y;  // [rows, outputs]
};

void linear(const float* x, int64_t rows, int64_t dim, std::initializer_list<Product> products,
            int threads) {
  struct Piece {
    const Product* of;
    int64_t begin;
  };
  std::vector<Piece> pieces;
  for (const Product& p : products)
    for (int64_t o = 0; o < p.outputs; o += BLOCK) pieces.push_back({&p, o});
  const int64_t count = pieces.size();
  Rows packed(rows, dim);
#pragma omp parallel num_threads(threads)
  {
#pragma omp for schedule(static)
    for (int64_t tile = 0; tile < packed.tiles(); tile++)
      packed.pack(tile, [&](int64_t i) { return x + i * dim; });
#pragma omp for schedule(static)
    for (int64_t i = 0; i < count; i++) {
      const Product& p = *pieces[i].of;
      const int64_t end = std::min(p.outputs, pieces[i].begin + BLOCK);
      linear_part(packed, p.weight, pieces[i].begin, end, p.y, p.outputs);
    }
  }
}

}  // namespace
