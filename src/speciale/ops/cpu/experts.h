// SwiGLU of experts over few rows: each row's routed ones, weighted, and the shared one of all rows
// (V3 report, 2.1.2). Only the experts that a row chose are read, each once.

#pragma once

#include "linear.h"

namespace {

// gate_up [count, 2 inner, d] and down [count, d, inner], as transformers 5 packs them.
struct Experts {
  int64_t count, inner;
  const float *gate_up, *down;
};

// gate and up [inner, d], down [d, inner]; a layer without routed experts is this alone.
struct SharedExpert {
  int64_t inner;
  const float *gate, *up, *down;
};

// y [n, d] += the experts' outputs for x [n, d]; ids [n, k] and weights [n, k] choose the routed.
void add_experts(const float* x, const int64_t* ids, const float* weights, int64_t n, int64_t k,
                 int64_t d, const Experts& routed, const SharedExpert& shared, float* y,
                 int threads) {
  struct Group {  // an expert and its rows
    const float *gate, *up, *down;
    int64_t inner;
    std::vector<int64_t> rows;
    std::vector<float> weights;
  };
  std::vector<Group> groups;
  if (k) groups.resize(routed.count);
  const int64_t size = routed.inner * d;
  for (int64_t e = 0; e < int64_t(groups.size()); e++) {
    const float* gate = routed.gate_up + e * 2 * size;
    groups[e] = {gate, gate + size, routed.down + e * size, routed.inner, {}, {}};
  }
  for (int64_t i = 0; i < n * k; i++) {
    groups[ids[i]].rows.push_back(i / k);
    groups[ids[i]].weights.push_back(weights[i]);
  }
  if (shared.inner) {
    groups.push_back({shared.gate, shared.up, shared.down, shared.inner, {}, {}});
    groups.back().weights.assign(n, 1.0f);
    for (int64_t row = 0; row < n; row++) groups.back().rows.push_back(row);
  }
  const auto idle = [](const Group& g) { return g.rows.empty(); };
  groups.erase(std::remove_if(groups.begin(), groups.end(), idle), groups.end());

  struct Piece {  // a tile of rows, or a block of outputs
    int64_t group, begin;
  };
  struct Part {  // what a group works on
    Rows in, middle;
    Buffer<float> gate, up, out;
  };
  std::vector<Part> parts;
  std::vector<Piece> tiles, wide, back;
  parts.reserve(groups.size());
  for (int64_t i = 0; i < int64_t(groups.size()); i++) {
    const Group& g = groups[i];
    const int64_t rows = g.rows.size();
    parts.push_back({Rows(rows, d), Rows(rows, g.inner), Buffer<float>(rows * g.inner),
                     Buffer<float>(rows * g.inner), Buffer<float>(rows * d)});
    for (int64_t t = 0; t < parts[i].in.tiles(); t++) tiles.push_back({i, t});
    for (int64_t o = 0; o < g.inner; o += BLOCK) wide.push_back({i, o});
    for (int64_t o = 0; o < d; o += BLOCK) back.push_back({i, o});
  }
  const int64_t tile_count = tiles.size(), wide_count = wide.size(), back_count = back.size();
#pragma omp parallel num_threads(threads)
  {
#pragma omp for schedule(static)
    for (int64_t i = 0; i < tile_count; i++) {
      const Group& g = groups[tiles[i].group];
      parts[tiles[i].group].in.pack(tiles[i].begin, [&](int64_t j) { return x + g.rows[j] * d; });
    }
#pragma omp for schedule(static)
    for (int64_t i = 0; i < wide_count; i++) {
      const Group& g = groups[wide[i].group];
      const Part& p = parts[wide[i].group];
      const int64_t begin = wide[i].begin, end = std::min(g.inner, begin + BLOCK);
      linear_part(p.in, g.gate, begin, end, p.gate, g.inner);
      linear_part(p.in, g.up, begin, end, p.up, g.inner);
      for (int64_t at = begin; at < p.in.count * g.inner; at += g.inner)
        swiglu(p.gate + at, p.up + at, end - begin);
    }
#pragma omp for schedule(static)
    for (int64_t i = 0; i < tile_count; i++) {
      Part& p = parts[tiles[i].group];
      const int64_t inner = groups[tiles[i].group].inner;
      p.middle.pack(tiles[i].begin, [&](int64_t j) { return p.gate + j * inner; });
    }
#pragma omp for schedule(static)
    for (int64_t i = 0; i < back_count; i++) {
      const Part& p = parts[back[i].group];
      linear_part(p.middle, groups[back[i].group].down, back[i].begin,
                  std::min(d, back[i].begin + BLOCK), p.out, d);
    }
  }
#pragma omp parallel for schedule(static) num_threads(threads) if (n * d >= 1 << 14)
  for (int64_t first = 0; first < d; first += BLOCK)  // each thread has columns of its own
    for (size_t i = 0; i < groups.size(); i++)
      for (size_t j = 0; j < groups[i].rows.size(); j++)
        for (int64_t c = first; c < std::min(d, first + BLOCK); c++)
          y[groups[i].rows[j] * d + c] += groups[i].weights[j] * parts[i].out[j * d + c];
}

}  // namespace
