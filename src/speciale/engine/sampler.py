"""Logits to tokens: the winner of an exponential race, argmax of p_i / E_i with E_i ~ Exp(1).

The race is the Gumbel-max trick. Its noise comes from a counter-based generator (Philox, Salmon et
al. 2011) at (seed, position): a draw depends on nothing else in the batch, and a draft drawn with
the noise of the token it guesses equals it with probability at least (1 - TV) / (1 + TV) (Daliri et
al., arXiv:2408.07978), so that comparing ids verifies it and the output is the one without drafts.

Order: grammar and min_tokens, repetition penalty, frequency and presence penalty, temperature,
top_k, top_p, min_p, each over what the one before left (transformers' order; vLLM 1 puts min_p
before top_k). Tokens as likely as the last one kept are kept too, as both do for top_k.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from speciale.engine.params import SamplingParams
from speciale.errors import RequestError

_LOWEST = float(np.finfo(np.float32).min)  # below it is only what may not be drawn
_CANDIDATES = 256  # the most likely tokens, which mostly hold all that truncation keeps


@dataclass
class Row:
    """What a row of logits is to become a token for."""

    params: SamplingParams
    seed: int
    position: int  # of the token to be drawn, in the sequence
    prompt: list[int]
    generated: list[int]
    allowed: Tensor | None = None  # bool [V], of the grammar
    ends: frozenset[int] = frozenset()  # ids that end the answer, kept out before min_tokens


@dataclass
class Draw:
    token: int
    logprob: float  # log pi_old: under what it was drawn from, renormalised; 0 if greedy
    model_logprob: float  # under the bare logits
    kept: np.ndarray | None  # int32, ascending: what it was drawn from, if kept_set; None: all ids
    top: list[tuple[int, float]] | None  # if logprobs: the likeliest ids under the bare logits


@torch.inference_mode()
def sample(logits: Tensor, rows: list[Row]) -> list[Draw | RequestError]:
    """logits: [N, V] float32, finite, on the CPU. A row without any token left gives an error.

    A draft is drawn with it too: from the logits that guess, with the row of the token guessed.
    """
    assert len(logits) == len(rows), "one row of logits for each request"
    x = _edited(logits, rows)  # [N, V]
    tokens = _argmax(x)  # [N]
    dead = (x.amax(-1) < _LOWEST).tolist()
    racing = [i for i, row in enumerate(rows) if row.params.temperature > 0 and not dead[i]]
    logprobs = torch.zeros(len(rows))
    supports: list[np.ndarray | None] = [None] * len(rows)
    if racing:
        part = x if len(racing) == len(rows) else x[racing]
        tokens[racing], logprobs[racing], kept = _race(part, [rows[i] for i in racing])
        for i, support in zip(racing, kept):
            supports[i] = support
    bare = logits.log_softmax(-1)  # [N, V]
    drawn = zip(tokens.tolist(), logprobs.tolist(), bare.gather(1, tokens[:, None])[:, 0].tolist())
    draws: list[Draw | RequestError] = []
    for i, (row, (token, logprob, model_logprob)) in enumerate(zip(rows, drawn)):
        if dead[i]:
            draws.append(_nothing_left(row))
            continue
        if row.params.kept_set and row.params.temperature == 0:
            supports[i] = np.array([token], dtype=np.int32)
        top = None if row.params.logprobs is None else _top(bare[i].numpy(), row.params.logprobs)
        draws.append(Draw(token, logprob, model_logprob, supports[i], top))
    return draws


# ---- before the temperature ---------------------------------------------------------------------


def _edited(logits: Tensor, rows: list[Row]) -> Tensor:
    """Logits [N, V] with what must not come at -inf and penalties taken off; a copy if any are."""
    edits = [i for i, row in enumerate(rows) if _edits(row)]
    if not edits:
        return logits
    x = logits.clone()
    for i in edits:
        _edit(x[i], rows[i])
    return x


def _bans(row: Row) -> bool:
    return bool(row.ends) and len(row.generated) < row.params.min_tokens


def _edits(row: Row) -> bool:
    p = row.params
    penalises = p.repetition_penalty != 1 or p.frequency_penalty != 0 or p.presence_penalty != 0
    return penalises or row.allowed is not None or _bans(row)


def _edit(x: Tensor, row: Row) -> None:
    """x: [V], changed in place."""
    params = row.params
    if row.allowed is not None:
        x.masked_fill_(~row.allowed, -torch.inf)
    if _bans(row):
        x[[token for token in row.ends if token < len(x)]] = -torch.inf
    if params.repetition_penalty != 1:
        seen = torch.tensor(row.prompt + row.generated, dtype=torch.long)
        old = x[seen]  # an id that comes twice is given the same new value twice
        factor = torch.where(old < 0, params.repetition_penalty, 1 / params.repetition_penalty)
        x[seen] = old * factor
    if row.generated and (params.frequency_penalty or params.presence_penalty):
        ids, counts = torch.tensor(row.generated).unique(return_counts=True)
        x[ids] -= params.frequency_penalty * counts + params.presence_penalty


# ---- the race -----------------------------------------------------------------------------------


def _race(x: Tensor, rows: list[Row]) -> tuple[Tensor, Tensor, list[np.ndarray | None]]:
    """x: [n, V] before the temperature -> tokens [n], their log-probs [n], the kept sets."""
    x = x / torch.tensor([[row.params.temperature] for row in rows])
    p = x.softmax(-1)  # [n, V]
    cuts = torch.full((len(rows), 1), _LOWEST)
    mass = torch.ones(len(rows))
    truncated = [i for i, row in enumerate(rows) if row.params.truncates]
    if truncated:
        peaks, values = p.amax(-1).tolist(), x.numpy()
        for i in truncated:
            cuts[i] = _cut(values[i], peaks[i], rows[i].params)
        p *= x >= cuts
        mass = p.sum(-1)
    kept = [_support(x[i], cuts[i]) if row.params.kept_set else None for i, row in enumerate(rows)]
    noise = x  # in x's memory, which is done with
    for i, row in enumerate(rows):
        noise[i] = torch.from_numpy(_noise(row.seed, row.position, p.shape[1]))
    # p stays as it is for the race: its sum's last bit may depend on the batch, the token must not.
    tokens = _argmax(torch.div(p, noise, out=noise))  # [n]
    return tokens, (p.gather(1, tokens[:, None])[:, 0] / mass).log(), kept


def _noise(seed: int, position: int, size: int) -> np.ndarray:
    """Exp(1) [size] float64 of one position.

    The position is the second word of Philox's counter, so that streams lie 2^64 blocks apart. In
    float32 one value in 2^23 would be 0 and win however unlikely its token is: with 129,280
    tokens, nonsense in one draw of 65.
    """
    bits = np.random.Philox(key=seed % (1 << 128), counter=[0, position, 0, 0])
    return np.random.Generator(bits).standard_exponential(size)


def _cut(x: np.ndarray, peak: float, params: SamplingParams) -> float:
    """The least of the scaled logits x [V] that truncation keeps; peak: the largest probability.

    Only values are sorted, no ids, and those of all tokens only if the likeliest do not decide.
    """
    size, cut = len(x), _LOWEST
    k = min(params.top_k or size, size)
    if params.min_p > 0:
        cut = max(cut, x.max() + math.log(params.min_p))
    if k == size and params.top_p == 1:
        return float(cut)
    for width in (_CANDIDATES, size):
        whole = width >= size
        top = np.sort(x if whole else np.partition(x, size - width)[size - width :])[::-1]
        if k < size and not whole and (k > width or top[k - 1] == top[-1]):
            continue  # the last one lies further down, or equals of it do
        mass, total = np.exp(top - top[0], dtype=np.float64), 1 / peak  # in units of the peak
        if k < size:
            cut = max(cut, top[k - 1])
            total = mass[top >= top[k - 1]].sum()
        if params.top_p == 1:
            break
        last = np.searchsorted(mass.cumsum(), params.top_p * total)
        if last < len(top):
            cut = max(cut, top[last])
            break
    return float(cut)


def _argmax(x: Tensor) -> Tensor:
    """[n, V] -> [n], of equal ones the first; numpy's is faster than torch's on the CPU."""
    return torch.from_numpy(x.numpy().argmax(-1))


def _support(x: Tensor, cut: Tensor) -> np.ndarray | None:
    """The ids of x [V] that are not below the cut, int32; None if that is all of them."""
    keeps = (x >= cut).numpy()
    return None if keeps.all() else np.flatnonzero(keeps).astype(np.int32)


# ---- what is told -------------------------------------------------------------------------------


def _top(logprobs: np.ndarray, count: int) -> list[tuple[int, float]]:
    """The `count` likeliest ids with their entries of logprobs [V]; of equal ones the lower ids."""
    count = min(count, len(logprobs))
    if count == 0:
        return []
    last = np.partition(logprobs, len(logprobs) - count)[len(logprobs) - count]
    ids = np.flatnonzero(logprobs >= last)
    ids = ids[np.argsort(-logprobs[ids], kind="stable")][:count]
    return list(zip(ids.tolist(), logprobs[ids].tolist()))


def _nothing_left(row: Row) -> RequestError:
    if _bans(row):
        return RequestError(
            f"token {len(row.generated) + 1} of the answer could only end it, but min_tokens is "
            f"{row.params.min_tokens}: lower min_tokens or loosen the constraint"
        )
    return RequestError(
        f"the constraint allows no token at token {len(row.generated) + 1} of the answer: loosen it"
    )
