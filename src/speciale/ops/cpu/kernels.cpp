// The hot functions of inference on a CPU, float32, for a cache of pages of 64 tokens: what Python
// calls. Built by cpu_build.py without torch's headers; pointers come from tensors that
// cpu_backend.py and cpu_layer.py have checked.

#include "layer.h"

extern "C" {

void index_topk(const float* q, const float* w, const float* keys, const int32_t* tables,
                const int32_t* rows, const int32_t* lengths, int64_t n, int64_t heads, int64_t dim,
                int64_t most_pages, int64_t topk, int32_t* out, int64_t threads) {
  find_topk(q, w, keys, tables, rows, lengths, n, int(heads), int(dim), most_pages, topk, out,
            int(threads));
}

void sparse_attention(const float* q, const float* latents, const int32_t* slots, int64_t n,
                      int64_t heads, int64_t width, int64_t rank, int64_t topk, float scale,
                      float* out, int64_t threads) {
  attend_selected({heads, width, rank}, q, latents, slots, n, topk, scale, out, int(threads));
}

void dense_attention(const float* q, const float* latents, const int32_t* tables,
                     const int32_t* rows, const int32_t* lengths, int64_t n, int64_t heads,
                     int64_t width, int64_t rank, int64_t most_pages, float scale, float* out,
                     int64_t threads) {
  attend_all({heads, width, rank}, q, latents, tables, rows, lengths, n, most_pages, scale, out,
             int(threads));
}

void few_rows_linear(const float* x, const float* weight, int64_t rows, int64_t dim,
                     int64_t outputs, float* y, int64_t threads) {
  linear(x, rows, dim, {{weight, outputs, y}}, int(threads));
}

// y [n, d]: zeros
void routed_experts(const float* x, const int64_t* ids, const float* weights, const float* gate_up,
                    const float* down, int64_t n, int64_t k, int64_t d, int64_t inner,
                    int64_t count, float* y, int64_t threads) {
  add_experts(x, ids, weights, n, k, d, {count, inner, gate_up, down}, {}, y, int(threads));
}

// h [n, hidden] in place, ids [n, chosen] out, the rows' entries into the layer's pages.
void decoder_layer(const LayerShape* shape, const LayerWeights* weights, const LayerRows* rows,
                   float* latents, float* index, float* h, int64_t* ids, int64_t threads) {
  add_attention(*shape, *weights, *rows, latents, index, h, int(threads));
  add_feed_forward(*shape, *weights, rows->n, h, ids, int(threads));
}

}  // extern "C"
