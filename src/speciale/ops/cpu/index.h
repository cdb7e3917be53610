// The lightning indexer over pages: I[t,s] = sum_j w[t,j] ReLU(q_j[t] . k[s]) without an H x L
// intermediate, then the top-k (V3.2-Exp report, 2.1).

#pragma once

#include "vector.h"

namespace {

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

// A value that exactly k of n reach; where that cannot be, for equals, the k-th largest. k <= n.
//
// Bisects over the floats in the order of their bits, counting all of them at each step, which is
// quick in vectors. Overwrites the values, and LANES more behind them.
float reached_by(float* values, int64_t n, int64_t k) {
  const auto key = [](Ints bits) { return bits ^ ((bits >> 31) & 0x7fffffff); };  // ordered alike
  const auto at = [&](int64_t i) -> Ints& { return *reinterpret_cast<Ints*>(values + i); };
  std::fill(values + n, values + n + LANES, -INF);
  Ints least = key(at(0)), most = least;
  for (int64_t i = 0; i < n; i += LANES) {
    const Ints x = at(i) = key(at(i));
    least = x < least ? x : least;
    most = x > most ? x : most;
  }
  int64_t low = least[0], high = most[0];  // at least k reach low, fewer than k reach high + 1
  for (int i = 1; i < LANES; i++) {
    low = std::min<int64_t>(low, least[i]);
    high = std::max<int64_t>(high, most[i]);
  }
  while (low < high) {
    const int64_t middle = low + (high - low + 1) / 2;
    const int32_t bound = int32_t(middle);
    Ints counts = {};
    for (int64_t i = 0; i < n; i += LANES) counts -= at(i) >= bound;
    int64_t count = 0;
    for (int i = 0; i < LANES; i++) count += counts[i];
    if (count >= k) low = middle;
    if (count == k) break;
    if (count < k) high = middle - 1;
  }
  int32_t bits = int32_t(low);
  bits ^= (bits >> 31) & 0x7fffffff;
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

// Positions of the k largest of n scores, ascending; of equals the first. Returns how many.
//
// Maxima of groups of scores bound the threshold from below: at least k scores reach the k-th
// largest maximum. Only what reaches it is sorted out exactly. `spare`: n + LANES floats.
int64_t select(const float* scores, int64_t n, int64_t k, int32_t* out, float* spare) {
  if (n <= k) {
    for (int64_t i = 0; i < n; i++) out[i] = i;
    return n;
  }
  int64_t group = 1;  // of `group` vectors, lane by lane
  while (n / (group * 2) >= 4 * std::max<int64_t>(k, LANES) && group < 256) group *= 2;
  float threshold;
  if (group == 1) {
    std::memcpy(spare, scores, n * sizeof(float));
    threshold = reached_by(spare, n, k);
  } else {
    int64_t count = 0, step = group * LANES, i = 0;
    for (; i + step <= n; i += step, count += LANES) {
      Floats best = load(scores + i);
      for (int64_t v = 1; v < group; v++) best = larger(best, load(scores + i + v * LANES));
      store(spare + count, best);
    }
    const float bound = reached_by(spare, count, k);
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
    threshold = std::max(bound, reached_by(spare, candidates, k));  // lower, the rest would count
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

// Slots of the top-k visible keys of each of n queries, ascending by position, the rest -1.
//
// q [n, heads, dim], w [n, heads], keys [pages, dim, PAGE], tables [requests, most_pages]; query i
// sees the first lengths[i] tokens of request rows[i]. Nothing is scored where all are selected.
void find_topk(const float* q, const float* w, const float* keys, const int32_t* tables,
               const int32_t* rows, const int32_t* lengths, int64_t n, int heads, int dim,
               int64_t most_pages, int64_t topk, int32_t* out, int threads) {
  constexpr int64_t SPAN = 16;             // pages of a piece of work
  constexpr int64_t GROUP = 8;             // queries of one request that share a page while cached
  constexpr int64_t SCORES = 4 << 20;      // at a time, one query's at least: 16 MB
  if (n == 0) return;
  const int64_t longest = *std::max_element(lengths, lengths + n);
  const int64_t stride = (longest + PAGE - 1) / PAGE * PAGE;
  const int64_t at_once = std::max<int64_t>(1, std::min(n, SCORES / stride));
  Buffer<float> scores(at_once * stride);
  struct Piece {
    int64_t row, end, page;
  };
  std::vector<Piece> pieces;
  for (int64_t first = 0; first < n; first += at_once) {
    const int64_t last = std::min(n, first + at_once);
    pieces.clear();
    for (int64_t row = first; row < last;) {
      int64_t end = row + 1;
      while (end < last && end < row + GROUP && rows[end] == rows[row]) end++;
      const int64_t most = *std::max_element(lengths + row, lengths + end);
      for (int64_t page = 0; most > topk && page * PAGE < most; page += SPAN)
        pieces.push_back({row, end, page});
      row = end;
    }
    // Few rows: parts of the context are sorted out side by side, their winners once more.
    const int64_t parts = last - first >= threads ? 1 : threads;
    const int64_t count = pieces.size(), shares = (last - first) * parts;
    Buffer<int32_t> won(shares * topk);
    Buffer<float> values(shares * topk);
    Buffer<int64_t> wins(shares);
#pragma omp parallel num_threads(threads)
    {
#pragma omp for schedule(dynamic)
      for (int64_t i = 0; i < count; i++) {
        const Piece piece = pieces[i];
        for (int64_t page = piece.page; page < piece.page + SPAN; page++)
          for (int64_t row = piece.row; row < piece.end; row++) {
            if (page * PAGE >= lengths[row] || lengths[row] <= topk) continue;
            const float* k = keys + int64_t(tables[rows[row] * most_pages + page]) * dim * PAGE;
            score_page(q + row * heads * dim, w + row * heads, heads, dim, k,
                       scores + (row - first) * stride + page * PAGE);
          }
      }
      Buffer<float> spare(stride + LANES);
#pragma omp for schedule(dynamic)
      for (int64_t i = 0; i < shares; i++) {
        const int64_t row = first + i / parts, part = i % parts;
        const int64_t pages = (lengths[row] + PAGE - 1) / PAGE;
        const int64_t begin = pages * part / parts * PAGE;
        const int64_t end = std::min<int64_t>(lengths[row], pages * (part + 1) / parts * PAGE);
        const float* mine = scores + (row - first) * stride;
        int32_t* best = won + i * topk;
        wins[i] = lengths[row] <= topk ? 0 : select(mine + begin, end - begin, topk, best, spare);
        for (int64_t j = 0; j < wins[i]; j++) {
          best[j] += begin;
          values[i * topk + j] = mine[best[j]];
        }
      }
#pragma omp for schedule(static)
      for (int64_t row = first; row < last; row++) {
        const int32_t* table = tables + rows[row] * most_pages;
        int32_t* slots = out + row * topk;
        int64_t found = std::min<int64_t>(lengths[row], topk);
        if (lengths[row] <= topk) {
          for (int64_t j = 0; j < found; j++) slots[j] = j;
        } else if (parts == 1) {
          std::copy(won + (row - first) * topk, won + (row - first + 1) * topk, slots);
        } else {
          std::vector<int32_t> positions;
          std::vector<float> best;
          for (int64_t i = (row - first) * parts; i < (row - first + 1) * parts; i++) {
            positions.insert(positions.end(), won + i * topk, won + i * topk + wins[i]);
            best.insert(best.end(), values + i * topk, values + i * topk + wins[i]);
          }
          Buffer<float> few(best.size() + LANES);
          select(best.data(), best.size(), topk, slots, few);
          for (int64_t j = 0; j < found; j++) slots[j] = positions[slots[j]];
        }
        for (int64_t j = 0; j < found; j++)
          slots[j] = table[slots[j] / PAGE] * PAGE + slots[j] % PAGE;
        std::fill(slots + found, slots + topk, -1);
      }
    }
  }
}

}  // namespace
