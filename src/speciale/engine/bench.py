"""How fast the engine is on this machine: `speciale bench`, and what benchmarks/engine_*.py use.

A context is planted instead of read: pages of random latents and index keys are put in the prefix
cache under random tokens, and the request that then begins with these tokens finds them there. What
is timed behind that is the whole engine: scheduling, model, sampling.
"""

from __future__ import annotations

import json
import random
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from speciale.engine.core import Core, EngineOptions
from speciale.engine.llm import check_device, placed
from speciale.engine.params import SamplingParams
from speciale.engine.store import cache_type, page_bytes
from speciale.errors import ConfigError
from speciale.files import write_atomic
from speciale.model import ModelConfig, Transformer, load_model
from speciale.ops import PAGE

_ROUNDS, _TOKENS = 5, 5  # of each position, in `token_costs`

SHAPES = {
    "65m": dict(
        vocab_size=8192, hidden_size=512, intermediate_size=1408, moe_intermediate_size=256,
        num_hidden_layers=8, first_k_dense_replace=1, num_attention_heads=8,
        num_key_value_heads=8, n_routed_experts=16, n_shared_experts=1, num_experts_per_tok=2,
        n_group=4, topk_group=2, kv_lora_rank=128, q_lora_rank=256, qk_rope_head_dim=32,
        qk_nope_head_dim=64, v_head_dim=64, index_n_heads=8, index_head_dim=64, index_topk=256,
    ),
}  # fmt: skip


def bench_model(name: str) -> Transformer:
    """A model of random weights by the name of its shape, or the one in a folder; on the CPU."""
    if name in SHAPES:
        model = Transformer(ModelConfig(**SHAPES[name]))
        model.initialise(0)
        return model.eval()
    if not Path(name).exists():
        raise ConfigError(f"{name!r} is neither a shape ({', '.join(SHAPES)}) nor a folder")
    return load_model(name)


def bench_core(model: Transformer, context: int, batch: int = 1, **options) -> Core:
    """An engine with room for `batch` requests of `context` tokens and some more."""
    mtp = model.mtp is not None and options.get("speculate") is not False
    pages = batch * (-(-context // PAGE) + 8) + 8
    weight = model.embed_tokens.weight
    budget = (pages + 1) * page_bytes(model.config, mtp, cache_type(weight)[0])
    return Core(model, None, EngineOptions(cache_bytes=budget, **options))


def plant(core: Core, context: int, seed: int = 0) -> list[int]:
    """A prompt of `context` tokens of which the prefix cache knows all but the last."""
    draw = random.Random(seed)
    prompt = [draw.randrange(core.model.config.vocab_size) for _ in range(context)]
    pages = [core.prefix.pool.take() for _ in range(-(-(context - 1) // PAGE))]
    assert None not in pages, "the pool is too small for what is planted"
    table = torch.tensor(pages)
    for layer in range(core.model.config.num_hidden_layers):
        latents = core.store.latents(layer).view(-1, PAGE, core.store.latents(layer).shape[1])
        latents[table] = torch.randn(len(pages), *latents.shape[1:]).to(latents)
        index = core.store.index(layer)
        index[table] = torch.randn(len(pages), *index.shape[1:]).to(index)
    core.prefix.insert(prompt, pages, context - 1)
    for page in pages:
        core.prefix.pool.release(page)
    return prompt


def decode_steps(core: Core, prompts: list[list[int]], tokens: int) -> Iterator[float]:
    """Yields the seconds of each decoding step of all `prompts` side by side; greedy."""
    params = SamplingParams(temperature=0, max_tokens=tokens + 2, ignore_eos=True)
    numbers = [number for prompt in prompts for number in core.add(prompt, params)]
    core.step()  # what the cache does not know of the prompts
    for _ in range(tokens):
        start = time.perf_counter()
        core.step()
        yield time.perf_counter() - start
    for number in numbers:
        core.cancel(number)


def token_costs(model: Transformer, positions: Sequence[int]) -> list[tuple[int, float, float]]:
    """(position, seconds with sparse, seconds with dense attention) of a decoded token, the last
    ones before each position. Medians of rounds that each go through all, so that all meet the same
    noise; one more round before them is left out."""
    ways = ("sparse", "dense")
    found = []
    for position in positions:
        cores = [bench_core(model, position, speculate=False, attention=way) for way in ways]
        context = position - _TOKENS - 2  # what `decode_steps` adds
        prompts = [[plant(core, context)] for core in cores]
        times: list[list[float]] = [[], []]
        found.append((position, cores, prompts, times))
    for number in range(_ROUNDS + 1):
        for _, cores, prompts, times in found:
            for core, prompt, seconds in zip(cores, prompts, times):
                steps = list(decode_steps(core, prompt, _TOKENS))
                seconds += steps[1:] if number else []
    return [(position, *map(statistics.median, times)) for position, _, _, times in found]


def prefill_seconds(core: Core, prompt: list[int]) -> float:
    """Seconds until the first token behind `prompt`."""
    start = time.perf_counter()
    [number] = core.add(prompt, SamplingParams(temperature=0, max_tokens=2, ignore_eos=True))
    while not any(update.request == number and update.ids for update in core.step()):
        pass
    seconds = time.perf_counter() - start
    core.cancel(number)
    return seconds


def bench(
    what: str,
    name: str,
    context: int,
    batch: int,
    tokens: int,
    attention: str,
    device: str,
    out: Path | None,
) -> dict:
    """`speciale bench`: one row of figures, written to `out` as JSON if given."""
    if context < 2 or batch < 1 or tokens < 1:
        raise ConfigError(
            f"context {context}, batch {batch}, tokens {tokens}: give a context of 2 or more, and "
            "1 or more of the others"
        )
    check_device(device)
    model = bench_model(name)
    if context + tokens > model.config.max_position_embeddings:
        raise ConfigError(
            f"context {context} and {tokens} tokens are beyond the model's "
            f"{model.config.max_position_embeddings}: lower one of them"
        )
    model = placed(model, device)
    row: dict = {"bench": what, "config": name, "context": context, "attention": attention}
    row["device"] = device if device == "cpu" else torch.cuda.get_device_name(device)
    core = bench_core(model, context, batch, speculate=False, attention=attention)
    if what == "decode":
        prompts = [plant(core, context, seed) for seed in range(batch)]
        step = statistics.median(decode_steps(core, prompts, tokens))
        row |= {"batch": batch, "ms per step": step * 1e3, "tokens/s": batch / step}
    else:
        draw = random.Random(0)
        prompt = [draw.randrange(model.config.vocab_size) for _ in range(context)]
        seconds = prefill_seconds(core, prompt)
        row |= {"seconds": seconds, "tokens/s": context / seconds}
    row["threads"] = torch.get_num_threads()
    if out is not None:
        write_atomic(out, json.dumps(row, indent=2) + "\n")
    return row
