// Absorbed MLA (V3 report, 2.1.1; V3.2-Exp report, figure 2) over token rows read in place: one
// pass with a running softmax (arXiv 2205.14135), split over the context where rows are few.

#pragma once

#include "vector.h"

namespace {

// Dot products of TOKENS tokens with VECTORS x LANES heads: q [width, padded heads].
template <int VECTORS, int TOKENS>
inline void dot_tokens(const float* q, int padded, int width, const float* const* tokens,
                       float* out) {
  Floats dot[TOKENS][VECTORS] = {};
  for (int d = 0; d < width; d++) {
    Floats query[VECTORS];
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; v++) query[v] = load(q + int64_t(d) * padded + v * LANES);
#pragma GCC unroll 8
    for (int t = 0; t < TOKENS; t++) {
      Floats key = splat(tokens[t][d]);
#pragma GCC unroll 8
      for (int v = 0; v < VECTORS; v++) dot[t][v] += key * query[v];
    }
  }
#pragma GCC unroll 8
  for (int t = 0; t < TOKENS; t++)
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; v++) store(out + int64_t(t) * padded + v * LANES, dot[t][v]);
}

// The tokens of a tile, and those of the tile behind it, which are asked for meanwhile.
struct Tile {
  const float* tokens[PAGE];
  int count = 0;
};

inline void ask(const float* token, int width) {
  for (int line = 0; line < width; line += 16) __builtin_prefetch(token + line, 0, 2);
}

template <int VECTORS>
inline void dot_tile(const float* q, int padded, int width, const Tile& tile, const Tile& next,
                     float* out) {
  constexpr int TOKENS = VECTORS == 1 ? 8 : VECTORS == 2 ? 6 : 4;
  int t = 0;
  for (; t + TOKENS <= tile.count; t += TOKENS) {
    for (int ahead = t; ahead < std::min(t + TOKENS, next.count); ahead++)
      ask(next.tokens[ahead], width);
    dot_tokens<VECTORS, TOKENS>(q, padded, width, tile.tokens + t, out + int64_t(t) * padded);
  }
  for (; t < tile.count; t++)
    dot_tokens<VECTORS, 1>(q, padded, width, tile.tokens + t, out + int64_t(t) * padded);
}

// acc[h, r] += sum_t p[t, h] tokens[t][r] for HEADS heads and VECTORS x LANES columns.
template <int HEADS, int VECTORS>
inline void add_values(const float* p, int padded, const float* const* tokens, int count,
                       int column, float* acc, int rank) {
  Floats total[HEADS][VECTORS];
#pragma GCC unroll 8
  for (int h = 0; h < HEADS; h++)
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; v++) total[h][v] = load(acc + h * rank + v * LANES);
  for (int t = 0; t < count; t++) {
    Floats value[VECTORS];
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; v++) value[v] = load(tokens[t] + column + v * LANES);
#pragma GCC unroll 8
    for (int h = 0; h < HEADS; h++) {
      Floats weight = splat(p[int64_t(t) * padded + h]);
#pragma GCC unroll 8
      for (int v = 0; v < VECTORS; v++) total[h][v] += weight * value[v];
    }
  }
#pragma GCC unroll 8
  for (int h = 0; h < HEADS; h++)
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; v++) store(acc + h * rank + v * LANES, total[h][v]);
}

template <int VECTORS>
inline void add_columns(const float* p, int padded, const float* const* tokens, int count,
                        int column, float* acc, int heads, int rank) {
  int h = 0;
  for (; h + 4 <= heads; h += 4)
    add_values<4, VECTORS>(p + h, padded, tokens, count, column, acc + h * rank + column, rank);
  for (; h < heads; h++)
    add_values<1, VECTORS>(p + h, padded, tokens, count, column, acc + h * rank + column, rank);
}

struct Shape {
  int heads, padded, width, rank;
  Shape(int64_t heads, int64_t width, int64_t rank)
      : heads(int(heads)), padded(int((heads + LANES - 1) / LANES * LANES)), width(int(width)),
        rank(int(rank)) {}
};

// Running softmax over tiles of tokens: highest and total [padded], acc [heads, rank].
struct Partial {
  float *highest, *total, *acc;
};

void attend_tile(const Shape& s, const float* q, const Tile& tile, const Tile& next, float* p,
                 const Partial& state) {
  const int vectors = s.padded / LANES, count = tile.count;
  int v = 0;
  for (; v + 4 <= vectors; v += 4)
    dot_tile<4>(q + v * LANES, s.padded, s.width, tile, next, p + v * LANES);
  for (; v + 2 <= vectors; v += 2)
    dot_tile<2>(q + v * LANES, s.padded, s.width, tile, next, p + v * LANES);
  for (; v < vectors; v++)
    dot_tile<1>(q + v * LANES, s.padded, s.width, tile, next, p + v * LANES);
  for (int h = 0; h < s.padded; h += LANES) {
    const Floats before = load(state.highest + h);
    Floats highest = before;
    for (int t = 0; t < count; t++) highest = larger(load(p + t * s.padded + h), highest);
    const Floats shrink = exponential(before - highest);
    Floats total = load(state.total + h) * shrink;
    for (int t = 0; t < count; t++) {
      const Floats weight = exponential(load(p + t * s.padded + h) - highest);
      store(p + t * s.padded + h, weight);
      total += weight;
    }
    store(state.highest + h, highest);
    store(state.total + h, total);
    for (int j = 0; j < LANES && h + j < s.heads; j++)
      if (shrink[j] != 1.0f)
        for (int r = 0; r < s.rank; r += LANES) {
          float* acc = state.acc + int64_t(h + j) * s.rank + r;
          store(acc, load(acc) * shrink[j]);
        }
  }
  int column = 0;
  for (; column + 4 * LANES <= s.rank; column += 4 * LANES)
    add_columns<4>(p, s.padded, tile.tokens, count, column, state.acc, s.heads, s.rank);
  for (; column < s.rank; column += LANES)
    add_columns<1>(p, s.padded, tile.tokens, count, column, state.acc, s.heads, s.rank);
}

// Attention of n queries [n, heads, width] over the tokens that `slot(row, i)` names, i < counts.
template <class Slot>
void attention(const Shape& s, const float* q, const float* latents, int64_t n, float scale,
               const int64_t* counts, Slot slot, float* out, int threads) {
  if (n == 0) return;
  // Each query's tokens are cut into parts where queries are too few for the threads.
  const int64_t wanted = threads > 1 && n < 4 * threads ? (4 * threads + n - 1) / n : 1;
  const int64_t most = *std::max_element(counts, counts + n);
  const int64_t splits = std::max<int64_t>(1, std::min<int64_t>(wanted, most / (2 * PAGE)));
  const int64_t partial = 2 * s.padded + int64_t(s.heads) * s.rank;
  Buffer<float> work(n * splits * partial);
#pragma omp parallel num_threads(threads)
  {
    std::vector<float> turned(int64_t(s.width) * s.padded), p(int64_t(PAGE) * s.padded);
    int64_t turned_row = -1;
    Tile tile, next;
    auto find = [&](int64_t row, int64_t first, int64_t end) {
      next.count = int(std::max<int64_t>(0, std::min<int64_t>(PAGE, end - first)));
      for (int t = 0; t < next.count; t++)
        next.tokens[t] = latents + int64_t(slot(row, first + t)) * s.width;
    };
#pragma omp for schedule(dynamic)
    for (int64_t i = 0; i < n * splits; i++) {
      const int64_t row = i / splits, part = i % splits;
      if (row != turned_row) {  // [heads, width] -> [width, padded]: heads lie in a vector's lanes
        std::fill(turned.begin(), turned.end(), 0.0f);
        for (int h = 0; h < s.heads; h++)
          for (int d = 0; d < s.width; d++)
            turned[int64_t(d) * s.padded + h] = q[(row * s.heads + h) * s.width + d] * scale;
        turned_row = row;
      }
      const int64_t tiles = (counts[row] + PAGE - 1) / PAGE;
      const int64_t begin = tiles * part / splits * PAGE;
      const int64_t end = std::min(counts[row], tiles * (part + 1) / splits * PAGE);
      float* mine = work + i * partial;
      const Partial state{mine, mine + s.padded, mine + 2 * s.padded};
      std::fill(state.highest, state.highest + s.padded, -INF);
      std::fill(state.total, mine + partial, 0.0f);
      find(row, begin, end);
      for (int t = 0; t < next.count; t++) ask(next.tokens[t], s.width);
      for (int64_t first = begin; first < end; first += PAGE) {
        tile = next;
        find(row, first + PAGE, end);
        attend_tile(s, turned.data(), tile, next, p.data(), state);
      }
    }
#pragma omp for schedule(static)
    for (int64_t row = 0; row < n; row++)
      for (int h = 0; h < s.heads; h++) {
        const float* parts = work + row * splits * partial;
        float highest = -INF, total = 0;
        for (int64_t i = 0; i < splits; i++) highest = std::max(highest, parts[i * partial + h]);
        float* result = out + (row * s.heads + h) * s.rank;
        std::fill(result, result + s.rank, 0.0f);
        for (int64_t i = 0; i < splits; i++) {
          const float* part = parts + i * partial;
          if (part[s.padded + h] == 0) continue;
          const float share = std::exp(part[h] - highest);
          total += share * part[s.padded + h];
          const float* acc = part + 2 * s.padded + int64_t(h) * s.rank;
          for (int r = 0; r < s.rank; r++) result[r] += share * acc[r];
        }
        for (int r = 0; r < s.rank; r++) result[r] /= total;
      }
  }
}

// q [n, heads, width] over the selected slots [n, topk] of latents -> out [n, heads, rank].
void attend_selected(const Shape& s, const float* q, const float* latents, const int32_t* slots,
                     int64_t n, int64_t topk, float scale, float* out, int threads) {
  Buffer<int64_t> counts(n);
  for (int64_t row = 0; row < n; row++) {
    const int32_t* mine = slots + row * topk;
    counts[row] = std::find(mine, mine + topk, -1) - mine;
  }
  attention(s, q, latents, n, scale, counts,
            [=](int64_t row, int64_t i) { return slots[row * topk + i]; }, out, threads);
}

// The same over all tokens that each query sees; the page tables are those of `find_topk`.
void attend_all(const Shape& s, const float* q, const float* latents, const int32_t* tables,
                const int32_t* rows, const int32_t* lengths, int64_t n, int64_t most_pages,
                float scale, float* out, int threads) {
  Buffer<int64_t> counts(n);
  std::copy(lengths, lengths + n, counts.memory.get());
  attention(s, q, latents, n, scale, counts,
            [=](int64_t row, int64_t i) {
              return int64_t(tables[rows[row] * most_pages + i / PAGE]) * PAGE + i % PAGE;
            },
            out, threads);
}

}  // namespace
