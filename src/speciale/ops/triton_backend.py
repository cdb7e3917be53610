"""Index scores, top-k and latent attention over pages of 64 tokens, for GPUs, in Triton.

Index scores (V3.2-Exp report, equation 1) are summed over the heads in registers; attention is
absorbed MLA with a running softmax (arXiv 2205.14135) that gathers latents by page table (arXiv
2309.06180), its keys split over many programs so that one query fills a GPU (flash-decoding).

Tested in Triton's interpreter and (tests and benchmarks/triton_gpu.py) on an H200; compiled for
compute capabilities 8.0 and 9.0. Block sizes are chosen by reckoning, not by timing: dense decoding
reads up to 660 GB/s there, far from the card's 4.8 TB/s.

A cache is used as it lies and must be contiguous. Nothing waits for the GPU (so that a CUDA graph
can record it), but for one thing: without `max_length`, the longest length is read back.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

PAGE = 64  # tokens of a page
_PROGRAMS = 132  # keys are split until there are about as many: one for each SM of an H100
_MAX_SPLITS = 64  # bounds the partial results: [N, H, splits, R] float32
_SCORE_FLOATS = 1 << 28  # 1 GB: bounds the scores [N, L] of a block of queries


def _padded(size: int) -> int:
    """A tile's side: a power of two, and at least the 16 that `tl.dot` asks for."""
    return max(16, triton.next_power_of_2(size))


def _tile(heads: int, dot_type: torch.dtype) -> tuple[int, int]:
    """Heads and, for attention, keys of a tile; the other side is all R + Dr (or Di) columns.

    More heads read each key less often. With the released 512 + 64 columns in two bytes, 64 heads
    and two stages of 32 keys take 144 KB of an H100's 227 KB of shared memory. In float32 the
    exact products of tiles larger than 16 x 16 do not fit in registers.
    """
    return (16, 16) if dot_type == torch.float32 else (min(64, _padded(heads)), 32)


def _dot_type(q: Tensor, cache: Tensor) -> torch.dtype:
    """Type of the factors of all products; sums are float32. Tensor cores need both in two bytes.

    The interpreter multiplies the bits of bfloat16 as if they were integers: float32 there.
    """
    exact = q.dtype != cache.dtype or (triton.knobs.runtime.interpret and q.dtype == torch.bfloat16)
    return torch.float32 if exact else q.dtype


def _check(q: Tensor, cache: Tensor, rows: Tensor) -> None:
    assert q.is_cuda or triton.knobs.runtime.interpret, "Triton needs a GPU or TRITON_INTERPRET=1"
    assert cache.is_contiguous(), "a cache is never copied: it must be contiguous"
    assert len(q) == len(rows), f"{len(q)} queries, but {len(rows)} rows"


def _longest(lengths: Tensor) -> int:
    return int(lengths.max()) if len(lengths) else 0  # waits for the GPU


@triton.jit(do_not_specialize=["max_pages", "length_out"])
def _index_scores_kernel(
    q,  # [N, Hi, Di]
    w,  # [N, Hi]
    index_pages,  # [pages, Di, PAGE]
    tables,  # [requests, max_pages]
    rows,  # [N]
    lengths,  # [N]
    out,  # [N, L]
    max_pages,
    length_out,
    HEADS: tl.constexpr,
    DIM: tl.constexpr,
    BLOCK_H: tl.constexpr,
    BLOCK_D: tl.constexpr,
    PAGE: tl.constexpr,
    PAGES: tl.constexpr,
):
    """Scores of one query for PAGES pages: each key is read once, the query once a page."""
    n = tl.program_id(0).to(tl.int64)
    first = tl.program_id(1) * PAGES
    dim = tl.arange(0, BLOCK_D)
    token = tl.arange(0, PAGE)
    length = tl.load(lengths + n)
    table = tables + tl.load(rows + n).to(tl.int64) * max_pages
    for page in range(first, tl.minimum(first + PAGES, length_out // PAGE)):
        position = page * PAGE + token
        scores = tl.full([PAGE], float("-inf"), tl.float32)
        if page * PAGE < length:  # the table says nothing of later pages
            place = tl.load(table + page).to(tl.int64)
            keys = tl.load(
                index_pages + (place * DIM + dim[:, None]) * PAGE + token[None, :],
                mask=dim[:, None] < DIM,
                other=0.0,
            ).to(q.dtype.element_ty)  # [BLOCK_D, PAGE]
            total = tl.zeros([PAGE], tl.float32)
            for first_head in range(0, HEADS, BLOCK_H):
                head = first_head + tl.arange(0, BLOCK_H)
                weights = tl.load(w + n * HEADS + head, mask=head < HEADS, other=0.0)
                queries = tl.load(
                    q + (n * HEADS + head[:, None]) * DIM + dim[None, :],
                    mask=(head[:, None] < HEADS) & (dim[None, :] < DIM),
                    other=0.0,
                )  # [BLOCK_H, BLOCK_D]
                dots = tl.dot(queries, keys, input_precision="ieee")  # [BLOCK_H, PAGE]
                total += tl.sum(tl.maximum(dots, 0.0) * weights.to(tl.float32)[:, None], axis=0)
            scores = tl.where(position < length, total, float("-inf"))
        tl.store(out + n * length_out + position, scores)


def index_scores_paged(
    q: Tensor,
    w: Tensor,
    index_pages: Tensor,
    tables: Tensor,
    rows: Tensor,
    lengths: Tensor,
    max_length: int | None = None,
) -> Tensor:
    """I[n,s] = sum_j w[n,j] ReLU(q_j[n] . k[s]) in float32, -inf beyond a row's length.

    q [N, Hi, Di], w [N, Hi] with all scales in it, index_pages [pages, Di, 64], tables [requests,
    max_pages] page ids in order of position, rows [N] request of a query, lengths [N] its visible
    keys. Returns [N, L], L = max_length (default: the longest of lengths) in whole pages.
    """
    _check(q, index_pages, rows)
    n, heads, dim = q.shape
    max_length = _longest(lengths) if max_length is None else max_length
    pages = triton.cdiv(max_length, PAGE)
    assert pages <= tables.shape[1], f"max_length {max_length} is beyond tables {tables.shape}"
    scores = torch.empty(n, pages * PAGE, device=q.device)  # [N, L]
    if scores.numel() == 0:
        return scores
    # up to 8 pages a program, where enough programs remain
    per_program = min(8, triton.next_power_of_2(max(1, n * pages // (8 * _PROGRAMS))))
    dot_type = _dot_type(q, index_pages)
    _index_scores_kernel[n, triton.cdiv(pages, per_program)](
        q.to(dot_type).contiguous(),
        w.contiguous(),
        index_pages,
        tables.contiguous(),
        rows.contiguous(),
        lengths.contiguous(),
        scores,
        tables.shape[1],
        pages * PAGE,
        HEADS=heads,
        DIM=dim,
        BLOCK_H=_tile(heads, dot_type)[0],
        BLOCK_D=_padded(dim),
        PAGE=PAGE,
        PAGES=per_program,
    )
    return scores


def index_topk(
    q: Tensor,
    w: Tensor,
    index_pages: Tensor,
    tables: Tensor,
    rows: Tensor,
    lengths: Tensor,
    topk: int,
    max_length: int | None = None,
) -> Tensor:
    """Slots (page * 64 + offset) of each query's top-k visible keys, ascending by position.

    Arguments as in `index_scores_paged`. Returns [N, topk] int32, ending in -1 where fewer than
    topk keys are visible. Works in blocks of queries.
    """
    out = torch.full((len(q), topk), -1, dtype=torch.int32, device=q.device)
    max_length = _longest(lengths) if max_length is None else max_length
    step = max(1, _SCORE_FLOATS // max(1, max_length))
    for start in range(0, len(q), step):
        here = slice(start, start + step)
        row, length = rows[here], lengths[here]
        scores = index_scores_paged(q[here], w[here], index_pages, tables, row, length, max_length)
        total = scores.shape[1]
        chosen = scores.topk(min(topk, total), dim=1, sorted=False).indices  # [n, k]
        chosen = chosen.masked_fill(chosen >= length[:, None], total)
        position = chosen.sort(dim=1).values  # those that are not visible come last
        none = position == total
        position = position.masked_fill(none, 0)
        page = tables[row.long()[:, None], position // PAGE]  # [n, k]
        slots = (page * PAGE + position % PAGE).masked_fill(none, -1)
        out[here, : slots.shape[1]] = slots.to(torch.int32)
    return out


@triton.jit(do_not_specialize=["ids_width"])
def _attention_kernel(
    q,  # [N, H, R + Dr]
    latents,  # [slots, R + Dr]
    ids,  # [N, k] slots, or [requests, max_pages] if PAGED
    rows,  # [N] if PAGED
    lengths,  # [N] if PAGED
    out,  # [N, H, splits, R]
    logs,  # [N, H, splits]: log of the sum of a split's exponentials
    scale,
    ids_width,
    HEADS: tl.constexpr,
    RANK: tl.constexpr,
    ROPE: tl.constexpr,
    BLOCK_H: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_R: tl.constexpr,
    BLOCK_D: tl.constexpr,
    PAGE: tl.constexpr,
    PAGED: tl.constexpr,
):
    """Attention of BLOCK_H heads of one query over one split of its keys."""
    n = tl.program_id(0).to(tl.int64)
    head = tl.program_id(1) * BLOCK_H + tl.arange(0, BLOCK_H)
    split = tl.program_id(2)
    splits = tl.num_programs(2)
    if PAGED:
        keys = tl.load(lengths + n)
        ids += tl.load(rows + n).to(tl.int64) * ids_width
    else:
        keys = ids_width
        ids += n * ids_width
    per_split = tl.cdiv(tl.cdiv(keys, BLOCK_N), splits) * BLOCK_N
    start = split * per_split
    stop = tl.minimum(keys, start + per_split)

    # The value part (R) and the rope part (Dr) are apart: 512 + 64 is no power of two.
    r = tl.arange(0, BLOCK_R)
    d = tl.arange(0, BLOCK_D)
    is_head = head[:, None] < HEADS
    is_r = r[None, :] < RANK
    is_d = d[None, :] < ROPE
    row = n * HEADS + head[:, None]
    query = q + row * (RANK + ROPE)
    query_r = tl.load(query + r[None, :], mask=is_head & is_r, other=0.0)  # [BLOCK_H, BLOCK_R]
    query_d = tl.load(query + RANK + d[None, :], mask=is_head & is_d, other=0.0)

    best = tl.full([BLOCK_H], float("-inf"), tl.float32)
    total = tl.zeros([BLOCK_H], tl.float32)
    acc = tl.zeros([BLOCK_H, BLOCK_R], tl.float32)
    for first in range(start, stop, BLOCK_N):
        place = first + tl.arange(0, BLOCK_N)
        chosen = place < stop
        if PAGED:
            page = tl.load(ids + place // PAGE, mask=chosen, other=0).to(tl.int64)
            # The 1 tells the compiler that rows start anywhere: Triton 3.6 took the start of a page
            # for that of every row, and read misaligned where a row is no multiple of 8 bytes.
            slot = tl.where(chosen, page * PAGE + place % PAGE, 1)
        else:
            slot = tl.load(ids + place, mask=chosen, other=-1).to(tl.int64)
            chosen = slot >= 0
        # What is not chosen is never read: a fresh page may hold NaN, and 0 * NaN is NaN.
        latent = latents + slot[:, None] * (RANK + ROPE)
        value = tl.load(latent + r[None, :], mask=chosen[:, None] & is_r, other=0.0)
        value = value.to(query_r.dtype)  # [BLOCK_N, BLOCK_R]
        rope = tl.load(latent + RANK + d[None, :], mask=chosen[:, None] & is_d, other=0.0)
        scores = tl.dot(query_r, tl.trans(value), input_precision="ieee")  # [BLOCK_H, BLOCK_N]
        rope = tl.trans(rope.to(query_r.dtype))
        scores = tl.dot(query_d, rope, acc=scores, input_precision="ieee") * scale
        scores = tl.where(chosen[None, :], scores, float("-inf"))

        higher = tl.maximum(best, tl.max(scores, axis=1))
        shift = tl.where(higher == float("-inf"), 0.0, higher)  # nothing chosen yet: no inf - inf
        shares = tl.exp(scores - shift[:, None])
        shrink = tl.exp(best - shift)
        total = total * shrink + tl.sum(shares, axis=1)
        acc = acc * shrink[:, None]
        acc = tl.dot(shares.to(value.dtype), value, acc=acc, input_precision="ieee")
        best = higher

    some = total > 0
    safe = tl.where(some, total, 1.0)
    place = row * splits + split  # [BLOCK_H, 1]
    tl.store(out + place * RANK + r[None, :], acc / safe[:, None], mask=is_head & is_r)
    # Finite, so that the merge of splits that are all empty gives 0 and not NaN.
    log = tl.where(some, best + tl.log(safe), -1e30)
    tl.store(logs + place, log[:, None], mask=is_head)


def _attention(
    q: Tensor,
    latents: Tensor,
    ids: Tensor,
    rows: Tensor | None,
    lengths: Tensor | None,
    scale: float,
    rank: int,
    keys: int,
) -> Tensor:
    """Launches the kernel over at most `keys` keys a query, and merges the splits."""
    n, heads, width = q.shape
    if q.numel() == 0 or keys == 0:
        return q.new_zeros(n, heads, rank)
    dot_type = _dot_type(q, latents)
    block_h, block_n = _tile(heads, dot_type)
    head_blocks = triton.cdiv(heads, block_h)
    splits = triton.cdiv(_PROGRAMS, n * head_blocks)
    splits = min(splits, _MAX_SPLITS, triton.cdiv(keys, block_n))
    kind = q.dtype if splits == 1 else torch.float32
    part = torch.empty(n, heads, splits, rank, device=q.device, dtype=kind)
    logs = torch.empty(n, heads, splits, device=q.device)
    _attention_kernel[n, head_blocks, splits](
        q.to(dot_type).contiguous(),
        latents,
        ids.contiguous(),
        rows,
        lengths,
        part,
        logs,
        scale,
        ids.shape[1],
        HEADS=heads,
        RANK=rank,
        ROPE=width - rank,
        BLOCK_H=block_h,
        BLOCK_N=block_n,
        BLOCK_R=_padded(rank),
        BLOCK_D=_padded(width - rank),
        PAGE=PAGE,
        PAGED=rows is not None,
        num_warps=8,
        num_stages=2,
    )
    if splits == 1:
        return part.squeeze(2)
    # A split's result is a mean; its share in the whole is the softmax of its log-sum.
    return (logs.softmax(-1).unsqueeze(2) @ part).squeeze(2).to(q.dtype)  # [N, H, R]


def sparse_attention(q: Tensor, latents: Tensor, slots: Tensor, scale: float, rank: int) -> Tensor:
    """Absorbed attention over selected latents, read where they lie; softmax in float32.

    q [N, H, R + Dr], latents [slots, R + Dr], slots [N, k] (-1: none) -> [N, H, R] with R = rank,
    the part of a latent that is also its value. A query with no slot at all gives zeros.
    """
    _check(q, latents, slots)
    return _attention(q, latents, slots, None, None, scale, rank, slots.shape[1])


def dense_attention(
    q: Tensor,
    latents: Tensor,
    tables: Tensor,
    rows: Tensor,
    lengths: Tensor,
    scale: float,
    rank: int,
) -> Tensor:
    """Absorbed attention over all visible latents; softmax in float32.

    q [N, H, R + Dr], latents [pages * 64, R + Dr]; tables, rows, lengths as in
    `index_scores_paged` -> [N, H, R].
    """
    _check(q, latents, rows)
    keys = tables.shape[1] * PAGE
    return _attention(
        q, latents, tables, rows.contiguous(), lengths.contiguous(), scale, rank, keys
    )
