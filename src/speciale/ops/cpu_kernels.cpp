// The hot functions of inference on a CPU, float32, for a cache of pages of 64 tokens.
//
// index_topk: I[t,s] = sum_j w[t,j] ReLU(q_j[t] . k[s]) without an H x L intermediate, then the
// top-k (V3.2-Exp report, 2.1); attention: absorbed MLA over token rows read in place, one pass
// with a running softmax (arXiv 2205.14135), split over the context where rows are few; linear
// and experts: few rows, each weight read once.
//
// Vectors are GCC's (clang knows them too), so the same lines become AVX-512, AVX2 or NEON. Built
// by cpu_backend.py without torch's headers; pointers come from tensors that it has checked.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
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
typedef float Floats __attribute__((vector_size(LANES * 4), aligned(4), may_alias));
typedef int32_t Ints __attribute__((vector_size(LANES * 4), aligned(4), may_alias));

constexpr float INF = std::numeric_limits<float>::infinity();

inline Floats load(const float* p) { return *reinterpret_cast<const Floats*>(p); }
inline void store(float* p, Floats x) { *reinterpret_cast<Floats*>(p) = x; }
inline Floats splat(float x) { return Floats{} + x; }
inline Floats larger(Floats a, Floats b) { return a > b ? a : b; }
inline float sum(Floats x) {
  float total = 0;
  for (int i = 0; i < LANES; i++) total += x[i];
  return total;
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
  p *= reinterpret_cast<Floats&>(power);
  return keep ? p : Floats{};
}

// ---- the lightning indexer ----------------------------------------------------------------------

// Adds HEADS heads' share of the scores of VECTORS x LANES tokens to out.
template <int HEADS, int VECTORS>
inline void score_heads(const float* q, const float* w, int dim, const float* keys, Floats* out) {
  Floats dot[HEADS][VECTORS] = {};
  for (int d = 0; d < dim; d++) {
    Floats k[VECTORS];
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; v++) k[v] = load(keys + d * PAGE + v * LANES);
#pragma GCC unroll 8
    for (int h = 0; h < HEADS; h++) {
      Floats query = splat(q[h * dim + d]);
#pragma GCC unroll 8
      for (int v = 0; v < VECTORS; v++) dot[h][v] += query * k[v];
    }
  }
#pragma GCC unroll 8
  for (int h = 0; h < HEADS; h++)
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; v++) out[v] += w[h] * larger(dot[h][v], Floats{});
}

// The scores of one query for one page: q [heads, dim], keys [dim, PAGE], out [PAGE].
void score_page(const float* q, const float* w, int heads, int dim, const float* keys, float* out) {
  constexpr int VECTORS = LANES == 8 ? 2 : 4;  // 4 heads x VECTORS sums stay in registers
  for (int t = 0; t < PAGE; t += VECTORS * LANES) {
    Floats total[VECTORS] = {};
    int h = 0;
    for (; h + 4 <= heads; h += 4)
      score_heads<4, VECTORS>(q + h * dim, w + h, dim, keys + t, total);
    for (; h < heads; h++) score_heads<1, VECTORS>(q + h * dim, w + h, dim, keys + t, total);
    for (int v = 0; v < VECTORS; v++)  // NaN would break the selection's order
      store(out + t + v * LANES, total[v] == total[v] ? total[v] : splat(-INF));
  }
}

// The k-th largest of n values, k <= n; `spare` holds n floats.
float kth_largest(const float* values, int64_t n, int64_t k, float* spare) {
  std::memcpy(spare, values, n * sizeof(float));
  std::nth_element(spare, spare + k - 1, spare + n, std::greater<float>());
  return spare[k - 1];
}

// Positions of the k largest of n scores, ascending; of equals the first. Returns how many.
//
// Maxima of groups of scores bound the threshold from below: at least k scores reach the k-th
// largest maximum. Only what reaches it is sorted out exactly.
int64_t select(const float* scores, int64_t n, int64_t k, int32_t* out, float* spare) {
  if (n <= k) {
    for (int64_t i = 0; i < n; i++) out[i] = i;
    return n;
  }
  int64_t group = 1;  // of `group` vectors, lane by lane
  while (n / (group * 2) >= 4 * k && group < 256) group *= 2;
  float threshold;
  if (group == 1) {
    threshold = kth_largest(scores, n, k, spare);
  } else {
    int64_t count = 0, step = group * LANES, i = 0;
    for (; i + step <= n; i += step, count += LANES) {
      Floats best = load(scores + i);
      for (int64_t v = 1; v < group; v++) best = larger(best, load(scores + i + v * LANES));
      store(spare + count, best);
    }
    std::nth_element(spare, spare + k - 1, spare + count, std::greater<float>());
    const float bound = spare[k - 1];
    int64_t candidates = 0;
    for (int64_t page = 0; page < n; page += PAGE) {
      const int64_t end = std::min(n, page + PAGE);
      bool any = false;
      for (int64_t j = page; j < end; j++) any |= scores[j] >= bound;
      if (any)
        for (int64_t j = page; j < end; j++) {
          spare[candidates] = scores[j];
          candidates += scores[j] >= bound;
        }
    }
    std::nth_element(spare, spare + k - 1, spare + candidates, std::greater<float>());
    threshold = spare[k - 1];
  }
  int64_t above = 0;
  for (int64_t i = 0; i < n; i++) above += scores[i] > threshold;
  int64_t equals = k - above, found = 0;  // how many equal to the threshold are taken
  for (int64_t page = 0; page < n && found < k; page += PAGE) {
    const int64_t end = std::min(n, page + PAGE);
    bool any = false;
    for (int64_t j = page; j < end; j++) any |= scores[j] >= threshold;
    if (!any) continue;
    for (int64_t j = page; j < end && found < k; j++) {
      const bool equal = scores[j] == threshold && equals > 0;
      out[found] = j;
      found += scores[j] > threshold || equal;
      equals -= equal;
    }
  }
  return found;
}

void find_topk(const float* q, const float* w, const float* keys, const int32_t* tables,
               const int32_t* rows, const int32_t* lengths, int64_t n, int heads, int dim,
               int64_t most_pages, int64_t topk, int32_t* out, float* work, int64_t work_rows,
               int64_t stride, int threads) {
  constexpr int64_t SPAN = 16;  // pages of a piece of work
  constexpr int64_t GROUP = 8;  // queries of one request that share a page while it is in cache
  for (int64_t first = 0; first < n; first += work_rows) {
    const int64_t last = std::min(n, first + work_rows);
    struct Piece {
      int64_t row, end, page;
    };
    std::vector<Piece> pieces;
    for (int64_t row = first; row < last;) {
      int64_t end = row + 1;
      while (end < last && end < row + GROUP && rows[end] == rows[row]) end++;
      const int64_t longest = *std::max_element(lengths + row, lengths + end);
      for (int64_t page = 0; page * PAGE < longest; page += SPAN) pieces.push_back({row, end, page});
      row = end;
    }
    const int64_t count = pieces.size();
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (int64_t i = 0; i < count; i++) {
      const Piece piece = pieces[i];
      for (int64_t page = piece.page; page < piece.page + SPAN; page++)
        for (int64_t row = piece.row; row < piece.end; row++) {
          if (page * PAGE >= lengths[row]) continue;
          const float* k = keys + int64_t(tables[rows[row] * most_pages + page]) * dim * PAGE;
          score_page(q + row * heads * dim, w + row * heads, heads, dim, k,
                     work + (row - first) * stride + page * PAGE);
        }
    }
    // Few rows: parts of the context are sorted out side by side, their winners once more.
    const int64_t parts = last - first >= threads ? 1 : threads;
    const int64_t longest = *std::max_element(lengths + first, lengths + last);
    std::vector<int32_t> won(parts > 1 ? (last - first) * parts * topk : 0);
    std::vector<int64_t> wins(parts > 1 ? (last - first) * parts : 0);
    std::vector<float> values(won.size());
#pragma omp parallel num_threads(threads)
    {
      std::vector<float> spare(longest + PAGE);
#pragma omp for schedule(dynamic)
      for (int64_t i = 0; i < (last - first) * parts; i++) {
        const int64_t row = first + i / parts, part = i % parts;
        const float* scores = work + (row - first) * stride;
        if (parts == 1) {
          int32_t* mine = out + row * topk;
          const int64_t found = select(scores, lengths[row], topk, mine, spare.data());
          std::fill(mine + found, mine + topk, -1);
          continue;
        }
        const int64_t pages = (lengths[row] + PAGE - 1) / PAGE;
        const int64_t begin = pages * part / parts * PAGE;
        const int64_t end = std::min<int64_t>(lengths[row], pages * (part + 1) / parts * PAGE);
        int32_t* mine = won.data() + i * topk;
        if (end > begin) wins[i] = select(scores + begin, end - begin, topk, mine, spare.data());
        for (int64_t j = 0; j < wins[i]; j++) {
          mine[j] += begin;
          values[i * topk + j] = scores[mine[j]];
        }
      }
    }
    for (int64_t row = first; parts > 1 && row < last; row++) {
      std::vector<int32_t> positions;
      std::vector<float> best;
      for (int64_t i = (row - first) * parts; i < (row - first + 1) * parts; i++) {
        positions.insert(positions.end(), won.begin() + i * topk, won.begin() + i * topk + wins[i]);
        best.insert(best.end(), values.begin() + i * topk, values.begin() + i * topk + wins[i]);
      }
      std::vector<int32_t> kept(topk);
      std::vector<float> spare(best.size() + PAGE);
      const int64_t found = select(best.data(), best.size(), topk, kept.data(), spare.data());
      for (int64_t j = 0; j < topk; j++) out[row * topk + j] = j < found ? positions[kept[j]] : -1;
    }
    // Positions become slots of the cache.
    for (int64_t row = first; row < last; row++) {
      const int32_t* table = tables + rows[row] * most_pages;
      for (int32_t* slot = out + row * topk; slot < out + (row + 1) * topk && *slot >= 0; slot++)
        *slot = table[*slot / PAGE] * PAGE + *slot % PAGE;
    }
  }
}

// ---- absorbed attention -------------------------------------------------------------------------

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

template <int VECTORS>
inline void dot_tile(const float* q, int padded, int width, const float* const* tokens, int count,
                     float* out) {
  constexpr int TOKENS = VECTORS == 1 ? 8 : VECTORS == 2 ? 6 : 4;
  int t = 0;
  for (; t + TOKENS <= count; t += TOKENS)
    dot_tokens<VECTORS, TOKENS>(q, padded, width, tokens + t, out + int64_t(t) * padded);
  for (; t < count; t++)
    dot_tokens<VECTORS, 1>(q, padded, width, tokens + t, out + int64_t(t) * padded);
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
};

// Running softmax over tiles of tokens: highest and total [padded], acc [heads, rank].
struct Partial {
  float *highest, *total, *acc;
};

void attend_tile(const Shape& s, const float* q, const float* const* tokens, int count, float* p,
                 const Partial& state) {
  const int vectors = s.padded / LANES;
  int v = 0;
  for (; v + 4 <= vectors; v += 4)
    dot_tile<4>(q + v * LANES, s.padded, s.width, tokens, count, p + v * LANES);
  for (; v + 2 <= vectors; v += 2)
    dot_tile<2>(q + v * LANES, s.padded, s.width, tokens, count, p + v * LANES);
  for (; v < vectors; v++)
    dot_tile<1>(q + v * LANES, s.padded, s.width, tokens, count, p + v * LANES);
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
    add_columns<4>(p, s.padded, tokens, count, column, state.acc, s.heads, s.rank);
  for (; column < s.rank; column += LANES)
    add_columns<1>(p, s.padded, tokens, count, column, state.acc, s.heads, s.rank);
}

// Attention of n queries [n, heads, width] over the tokens that `slot(row, i)` names, i < counts.
template <class Slot>
void attention(const Shape& s, const float* q, const float* latents, int64_t n, float scale,
               const int64_t* counts, Slot slot, float* out, float* work, int64_t splits,
               int threads) {
  const int64_t partial = 2 * s.padded + int64_t(s.heads) * s.rank;
#pragma omp parallel num_threads(threads)
  {
    std::vector<float> turned(int64_t(s.width) * s.padded), p(int64_t(PAGE) * s.padded);
    int64_t turned_row = -1;
    const float* tiles_of_tokens[2][PAGE];
    const float **tokens = tiles_of_tokens[0], **next = tiles_of_tokens[1];
    // Names the tokens first..first+PAGE-1 in `next` and asks memory for them ahead of their use.
    auto fetch = [&](int64_t row, int64_t first, int64_t end) {
      const int count = int(std::max<int64_t>(0, std::min<int64_t>(PAGE, end - first)));
      for (int t = 0; t < count; t++) {
        next[t] = latents + int64_t(slot(row, first + t)) * s.width;
        for (int line = 0; line < s.width; line += 16) __builtin_prefetch(next[t] + line, 0, 2);
      }
      return count;
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
      int ahead = fetch(row, begin, end);
      for (int64_t first = begin; first < end; first += PAGE) {
        const int count = ahead;
        std::swap(tokens, next);
        ahead = fetch(row, first + PAGE, end);  // of the tile after this one
        attend_tile(s, turned.data(), tokens, count, p.data(), state);
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

// ---- few rows times a matrix --------------------------------------------------------------------

// y[m, o] = x[m, :] . weight[o, :] for OUT outputs and ROWS rows.
template <int ROWS, int OUT>
inline void dot_rows(const float* x, int64_t x_stride, const float* weight, int64_t dim, float* y,
                     int64_t y_stride) {
  Floats dot[OUT][ROWS] = {};
  int64_t d = 0;
  for (; d + LANES <= dim; d += LANES) {
    Floats row[ROWS];
#pragma GCC unroll 8
    for (int m = 0; m < ROWS; m++) row[m] = load(x + m * x_stride + d);
#pragma GCC unroll 8
    for (int o = 0; o < OUT; o++) {
      const Floats w = load(weight + o * dim + d);
#pragma GCC unroll 8
      for (int m = 0; m < ROWS; m++) dot[o][m] += w * row[m];
    }
  }
#pragma GCC unroll 8
  for (int o = 0; o < OUT; o++)
#pragma GCC unroll 8
    for (int m = 0; m < ROWS; m++) {
      float total = sum(dot[o][m]);
      for (int64_t rest = d; rest < dim; rest++)
        total += x[m * x_stride + rest] * weight[o * dim + rest];
      y[m * y_stride + o] = total;
    }
}

template <int OUT>
inline void dot_all_rows(const float* x, int64_t rows, const float* weight, int64_t dim, float* y,
                         int64_t y_stride) {
  int64_t m = 0;
  for (; m + 4 <= rows; m += 4)
    dot_rows<4, OUT>(x + m * dim, dim, weight, dim, y + m * y_stride, y_stride);
  if (rows - m == 3) dot_rows<3, OUT>(x + m * dim, dim, weight, dim, y + m * y_stride, y_stride);
  if (rows - m == 2) dot_rows<2, OUT>(x + m * dim, dim, weight, dim, y + m * y_stride, y_stride);
  if (rows - m == 1) dot_rows<1, OUT>(x + m * dim, dim, weight, dim, y + m * y_stride, y_stride);
}

// Outputs begin..end-1 of x [rows, dim] times weight [outputs, dim], transposed.
void linear_part(const float* x, int64_t rows, const float* weight, int64_t dim, int64_t begin,
                 int64_t end, float* y, int64_t y_stride) {
  int64_t o = begin;
  for (; o + 4 <= end; o += 4) dot_all_rows<4>(x, rows, weight + o * dim, dim, y + o, y_stride);
  for (; o < end; o++) dot_all_rows<1>(x, rows, weight + o * dim, dim, y + o, y_stride);
}

}  // namespace

extern "C" {

// The scores of work_rows queries at a time lie in work [work_rows, stride].
void index_topk(const float* q, const float* w, const float* keys, const int32_t* tables,
                const int32_t* rows, const int32_t* lengths, int64_t n, int64_t heads, int64_t dim,
                int64_t most_pages, int64_t topk, int32_t* out, float* work, int64_t work_rows,
                int64_t stride, int64_t threads) {
  find_topk(q, w, keys, tables, rows, lengths, n, int(heads), int(dim), most_pages, topk, out,
            work, work_rows, stride, int(threads));
}

// Floats of `work` that attention needs.
int64_t attention_work(int64_t n, int64_t heads, int64_t rank, int64_t splits) {
  const int64_t padded = (heads + LANES - 1) / LANES * LANES;
  return n * splits * (2 * padded + heads * rank);
}

void sparse_attention(const float* q, const float* latents, const int32_t* slots, int64_t n,
                      int64_t heads, int64_t width, int64_t rank, int64_t topk, float scale,
                      float* out, float* work, int64_t splits, int64_t threads) {
  const Shape s{int(heads), int((heads + LANES - 1) / LANES * LANES), int(width), int(rank)};
  std::vector<int64_t> counts(n);
  for (int64_t row = 0; row < n; row++) {
    const int32_t* mine = slots + row * topk;
    counts[row] = std::find(mine, mine + topk, -1) - mine;
  }
  attention(s, q, latents, n, scale, counts.data(),
            [=](int64_t row, int64_t i) { return slots[row * topk + i]; }, out, work, splits,
            int(threads));
}

void dense_attention(const float* q, const float* latents, const int32_t* tables,
                     const int32_t* rows, const int32_t* lengths, int64_t n, int64_t heads,
                     int64_t width, int64_t rank, int64_t most_pages, float scale, float* out,
                     float* work, int64_t splits, int64_t threads) {
  const Shape s{int(heads), int((heads + LANES - 1) / LANES * LANES), int(width), int(rank)};
  std::vector<int64_t> counts(lengths, lengths + n);
  attention(s, q, latents, n, scale, counts.data(),
            [=](int64_t row, int64_t i) {
              return int64_t(tables[rows[row] * most_pages + i / PAGE]) * PAGE + i % PAGE;
            },
            out, work, splits, int(threads));
}

// y [rows, outputs] = x [rows, dim] times weight [outputs, dim], transposed.
void linear(const float* x, const float* weight, int64_t rows, int64_t dim, int64_t outputs,
            float* y, int64_t threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
  for (int64_t block = 0; block < (outputs + 31) / 32; block++)
    linear_part(x, rows, weight, dim, block * 32, std::min(outputs, block * 32 + 32), y, outputs);
}

// SwiGLU of each row's experts, weighted and summed: x [n, d], ids [n, k] (int64), weights [n, k],
// gate_up [count, 2 m, d], down [count, d, m], y [n, d] (zeros). work: n k (2 d + 3 m).
void experts(const float* x, const int64_t* ids, const float* weights, const float* gate_up,
             const float* down, int64_t n, int64_t k, int64_t d, int64_t m, int64_t count, float* y,
             float* work, int64_t threads) {
  std::vector<std::vector<int64_t>> chosen(count);  // the (row, choice) pairs of each expert
  for (int64_t i = 0; i < n * k; i++) chosen[ids[i]].push_back(i);
  struct Group {
    int64_t expert, first, rows;
  };
  std::vector<Group> groups;
  std::vector<int64_t> pairs;
  for (int64_t e = 0; e < count; e++) {
    if (chosen[e].empty()) continue;
    groups.push_back({e, int64_t(pairs.size()), int64_t(chosen[e].size())});
    pairs.insert(pairs.end(), chosen[e].begin(), chosen[e].end());
  }
  float* in = work;                 // [n k, d] rows by expert
  float* both = in + n * k * d;     // [n k, 2 m]
  float* inner = both + n * k * 2 * m;  // [n k, m]
  float* part = inner + n * k * m;  // [n k, d]
  const int64_t wide = groups.size() * ((2 * m + 31) / 32), back = groups.size() * ((d + 31) / 32);
#pragma omp parallel num_threads(threads)
  {
#pragma omp for schedule(static)
    for (int64_t i = 0; i < n * k; i++)
      std::memcpy(in + i * d, x + pairs[i] / k * d, d * sizeof(float));
#pragma omp for schedule(static)
    for (int64_t i = 0; i < wide; i++) {
      const Group& g = groups[i / ((2 * m + 31) / 32)];
      const int64_t o = i % ((2 * m + 31) / 32) * 32;
      linear_part(in + g.first * d, g.rows, gate_up + g.expert * 2 * m * d, d, o,
                  std::min(2 * m, o + 32), both + g.first * 2 * m, 2 * m);
    }
#pragma omp for schedule(static)
    for (int64_t i = 0; i < n * k; i++)
      for (int64_t j = 0; j < m; j++) {
        const float gate = both[i * 2 * m + j];
        inner[i * m + j] = gate / (1 + std::exp(-gate)) * both[i * 2 * m + m + j];
      }
#pragma omp for schedule(static)
    for (int64_t i = 0; i < back; i++) {
      const Group& g = groups[i / ((d + 31) / 32)];
      const int64_t o = i % ((d + 31) / 32) * 32;
      linear_part(inner + g.first * m, g.rows, down + g.expert * d * m, m, o, std::min(d, o + 32),
                  part + g.first * d, d);
    }
  }
  for (int64_t i = 0; i < n * k; i++)
    for (int64_t j = 0; j < d; j++) y[pairs[i] / k * d + j] += weights[pairs[i]] * part[i * d + j];
}

}  // extern "C"
