// One decoder layer over the few rows of a decoding step, whole: norms, projections, rotary positions,
// the pages' new entries, indexer, absorbed attention, router, experts (V3 report, 2.1; V3.2-Exp
// report, 2.1). What model/block.py and engine/attention.py do, without their hundred small steps.

#pragma once

#include "attention.h"
#include "experts.h"
#include "index.h"

namespace {

// The three structures have their like in cpu_layer.py, field by field.
struct LayerShape {
  int64_t hidden, heads, nope, rope, value, rank, q_rank, index_heads, index_dim, topk;
  int64_t experts, groups, kept_groups, chosen, inner, shared_inner, normalise;
  double eps, scale, routed_scale;
};

struct LayerWeights {  // router and experts are null in a dense layer
  const float *input_norm, *q_a, *q_norm, *q_b, *kv_a, *kv_norm, *kv_b, *o, *index_q, *index_k,
      *index_k_norm, *index_k_bias, *index_w, *post_norm;
  const float *router, *router_bias, *gate_up, *down, *shared_gate, *shared_up, *shared_down;
};

struct LayerRows {  // n tokens: where each is, what it sees, where its own entries go
  int64_t n, most_pages;
  const float *cos, *sin;  // [n, rope / 2]
  const int64_t* slots;
  const int32_t *tables, *rows, *lengths;
};

constexpr int64_t MANY = 16;  // rows from which a small thing is worth a second thread

void rms_norm(const float* x, const float* weight, int64_t dim, double eps, float* y) {
  const float factor = 1 / std::sqrt(dot(x, x, dim) / dim + float(eps));
  for (int64_t d = 0; d < dim; d++) y[d] = x[d] * factor * weight[d];
}

void layer_norm(float* x, const float* weight, const float* bias, int64_t dim, double eps) {
  float mean = 0;
  for (int64_t d = 0; d < dim; d++) mean += x[d] / dim;
  for (int64_t d = 0; d < dim; d++) x[d] -= mean;
  const float factor = 1 / std::sqrt(dot(x, x, dim) / dim + float(eps));
  for (int64_t d = 0; d < dim; d++) x[d] = x[d] * factor * weight[d] + bias[d];
}

// Rotates pairs of x [2 pairs]: (x0, x1), (x2, x3), ... with step 1, or the two halves.
void rotate(float* x, const float* cos, const float* sin, int64_t pairs, bool interleaved) {
  for (int64_t i = 0; i < pairs; i++) {
    float& a = x[interleaved ? 2 * i : i];
    float& b = x[interleaved ? 2 * i + 1 : i + pairs];
    const float turned = a * cos[i] - b * sin[i];
    b = b * cos[i] + a * sin[i];
    a = turned;
  }
}

// y[m, c] = sum_i x[m, i] w[i, c] for ROWS rows and VECTORS x LANES columns of w [count, r].
template <int ROWS, int VECTORS>
inline void combine_columns(const float* x, int64_t x_stride, const float* w, int64_t count,
                            int64_t r, float* y, int64_t y_stride) {
  Floats total[ROWS][VECTORS] = {};
  for (int64_t i = 0; i < count; i++) {
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; v++) {
      const Floats weight = load(w + i * r + v * LANES);
#pragma GCC unroll 4
      for (int m = 0; m < ROWS; m++) total[m][v] += x[m * x_stride + i] * weight;
    }
  }
  for (int m = 0; m < ROWS; m++)
    for (int v = 0; v < VECTORS; v++) store(y + m * y_stride + v * LANES, total[m][v]);
}

template <int ROWS>
void combine(const float* x, int64_t x_stride, const float* w, int64_t count, int64_t r, float* y,
             int64_t y_stride) {
  int64_t c = 0;
  for (; c + 4 * LANES <= r; c += 4 * LANES)
    combine_columns<ROWS, 4>(x, x_stride, w + c, count, r, y + c, y_stride);
  for (; c < r; c += LANES)  // r is a multiple of 16
    combine_columns<ROWS, 1>(x, x_stride, w + c, count, r, y + c, y_stride);
}

// h [n, hidden] += attention over the pages, in which the rows' own entries are put first.
void add_attention(const LayerShape& s, const LayerWeights& w, const LayerRows& r, float* latents,
                   float* index, float* h, int threads) {
  constexpr int64_t GROUP = 4;  // rows that share a read of W_UK
  const int64_t n = r.n, width = s.rank + s.rope, q_dim = s.nope + s.rope, pairs = s.rope / 2;
  const int64_t groups = (n + GROUP - 1) / GROUP;
  Buffer<float> x(n * s.hidden), q_a(n * s.q_rank), latent(n * width), q(n * s.heads * q_dim),
      absorbed(n * s.heads * width), mixed(n * s.heads * s.rank), values(n * s.heads * s.value),
      index_k(n * s.index_dim), index_q(n * s.index_heads * s.index_dim),
      index_w(n * s.index_heads);
  const bool selecting = *std::max_element(r.lengths, r.lengths + n) > s.topk;

#pragma omp parallel for schedule(static) num_threads(threads) if (n >= MANY)
  for (int64_t i = 0; i < n; i++)
    rms_norm(h + i * s.hidden, w.input_norm, s.hidden, s.eps, x + i * s.hidden);
  linear(x, n, s.hidden,
         {{w.q_a, s.q_rank, q_a}, {w.kv_a, width, latent}, {w.index_k, s.index_dim, index_k},
          {w.index_w, s.index_heads, index_w}},
         threads);
#pragma omp parallel for schedule(static) num_threads(threads) if (n >= MANY)
  for (int64_t i = 0; i < n; i++) {
    const float *cos = r.cos + i * pairs, *sin = r.sin + i * pairs;
    rms_norm(q_a + i * s.q_rank, w.q_norm, s.q_rank, s.eps, q_a + i * s.q_rank);
    float* entry = latent + i * width;
    rms_norm(entry, w.kv_norm, s.rank, s.eps, entry);
    rotate(entry + s.rank, cos, sin, pairs, true);
    std::memcpy(latents + r.slots[i] * width, entry, width * sizeof(float));
    float* key = index_k + i * s.index_dim;
    layer_norm(key, w.index_k_norm, w.index_k_bias, s.index_dim, 1e-6);
    rotate(key, cos, sin, pairs, false);
    float* page = index + r.slots[i] / PAGE * PAGE * s.index_dim + r.slots[i] % PAGE;
    for (int64_t d = 0; d < s.index_dim; d++) page[d * PAGE] = key[d];
  }
  if (selecting)
    linear(q_a, n, s.q_rank,
           {{w.q_b, s.heads * q_dim, q}, {w.index_q, s.index_heads * s.index_dim, index_q}},
           threads);
  else
    linear(q_a, n, s.q_rank, {{w.q_b, s.heads * q_dim, q}}, threads);

  // W_UK goes into the query: against latents, all heads share the keys.
#pragma omp parallel for schedule(static) num_threads(threads)
  for (int64_t i = 0; i < s.heads * groups; i++) {
    const int64_t head = i / groups, first = i % groups * GROUP;
    const int64_t last = std::min(n, first + GROUP);
    const float* weight = w.kv_b + head * (s.nope + s.value) * s.rank;
    float* from = q + (first * s.heads + head) * q_dim;
    float* to = absorbed + (first * s.heads + head) * width;
    if (last - first == GROUP)
      combine<GROUP>(from, s.heads * q_dim, weight, s.nope, s.rank, to, s.heads * width);
    for (int64_t row = first; row < last; row++) {
      if (last - first < GROUP) combine<1>(from, 0, weight, s.nope, s.rank, to, 0);
      rotate(from + s.nope, r.cos + row * pairs, r.sin + row * pairs, pairs, true);
      std::copy(from + s.nope, from + q_dim, to + s.rank);
      from += s.heads * q_dim;
      to += s.heads * width;
    }
  }
  const Shape shape(s.heads, width, s.rank);
  if (selecting) {
    const float factor = 1 / std::sqrt(float(s.index_heads * s.index_dim));
    for (int64_t i = 0; i < n * s.index_heads; i++) {
      rotate(index_q + i * s.index_dim, r.cos + i / s.index_heads * pairs,
             r.sin + i / s.index_heads * pairs, pairs, false);
      index_w[i] *= factor;
    }
    Buffer<int32_t> chosen(n * s.topk);
    find_topk(index_q, index_w, index, r.tables, r.rows, r.lengths, n, int(s.index_heads),
              int(s.index_dim), r.most_pages, s.topk, chosen, threads);
    attend_selected(shape, absorbed, latents, chosen, n, s.topk, s.scale, mixed, threads);
  } else {
    attend_all(shape, absorbed, latents, r.tables, r.rows, r.lengths, n, r.most_pages, s.scale,
               mixed, threads);
  }
  constexpr int64_t SHARE = 64;  // rows of a piece of work
  const int64_t shares = (n + SHARE - 1) / SHARE;
  // W_UV comes behind it: [n, heads, rank] -> [n, heads, value].
#pragma omp parallel for schedule(static) num_threads(threads)
  for (int64_t i = 0; i < s.heads * shares; i++) {
    const int64_t head = i / shares, first = i % shares * SHARE;
    Rows packed(std::min(SHARE, n - first), s.rank);
    for (int64_t tile = 0; tile < packed.tiles(); tile++)
      packed.pack(tile, [&](int64_t row) {
        return mixed + ((first + row) * s.heads + head) * s.rank;
      });
    linear_part(packed, w.kv_b + (head * (s.nope + s.value) + s.nope) * s.rank, 0, s.value,
                values + (first * s.heads + head) * s.value, s.heads * s.value);
  }
  linear(values, n, s.heads * s.value, {{w.o, s.hidden, x}}, threads);
  for (int64_t i = 0; i < n * s.hidden; i++) h[i] += x[i];
}

// The experts of one row by its scores [experts]: sigmoid, the best groups by their two best, the
// top-k among those; the weights are the scores without the bias (V3 report, 2.1.2).
void route(const LayerShape& s, float* scores, const float* bias, int64_t* ids, float* weights) {
  Buffer<float> choice(s.experts);
  for (int64_t e = 0; e < s.experts; e++) {
    scores[e] = 1 / (1 + std::exp(-scores[e]));
    choice[e] = scores[e] + bias[e];
    if (!(choice[e] == choice[e])) choice[e] = -INF;  // NaN would break the order
  }
  const int64_t size = s.experts / s.groups;
  if (s.kept_groups < s.groups) {
    std::vector<std::pair<float, int64_t>> best(s.groups);
    for (int64_t g = 0; g < s.groups; g++) {
      float first = -INF, second = -INF;
      for (int64_t e = g * size; e < (g + 1) * size; e++) {
        second = std::max(second, std::min(first, choice[e]));
        first = std::max(first, choice[e]);
      }
      best[g] = {-(first + second), g};
    }
    std::sort(best.begin(), best.end());
    for (int64_t g = s.kept_groups; g < s.groups; g++)
      std::fill(choice + best[g].second * size, choice + (best[g].second + 1) * size, -INF);
  }
  float total = 0;
  for (int64_t k = 0; k < s.chosen; k++) {
    ids[k] = std::max_element(choice + 0, choice + s.experts) - choice;
    choice[ids[k]] = -2 * INF;
    weights[k] = scores[ids[k]];
    total += weights[k];
  }
  for (int64_t k = 0; k < s.chosen; k++)
    weights[k] *= float(s.routed_scale) / (s.normalise ? total + 1e-20f : 1.0f);
}

// h [n, hidden] += the layer's second half; ids [n, chosen] take the experts that it used.
void add_feed_forward(const LayerShape& s, const LayerWeights& w, int64_t n, float* h, int64_t* ids,
                      int threads) {
  Buffer<float> x(n * s.hidden), weights(n * s.chosen), scores(n * s.experts);
#pragma omp parallel for schedule(static) num_threads(threads) if (n >= MANY)
  for (int64_t i = 0; i < n; i++)
    rms_norm(h + i * s.hidden, w.post_norm, s.hidden, s.eps, x + i * s.hidden);
  const bool routed = w.router != nullptr;
  if (routed) {
    linear(x, n, s.hidden, {{w.router, s.experts, scores}}, n >= MANY ? threads : 1);
#pragma omp parallel for schedule(static) num_threads(threads) if (n >= MANY)
    for (int64_t i = 0; i < n; i++)
      route(s, scores + i * s.experts, w.router_bias, ids + i * s.chosen, weights + i * s.chosen);
  }
  add_experts(x, ids, weights, n, routed ? s.chosen : 0, s.hidden,
              {routed ? s.experts : 0, s.inner, w.gate_up, w.down},
              {s.shared_inner, w.shared_gate, w.shared_up, w.shared_down}, h, threads);
}

}  // namespace
