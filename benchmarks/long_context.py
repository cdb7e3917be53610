"""Exact retrieval at 32K tokens on the embedded engine: sparse beside dense attention and a window.

    python benchmarks/long_context.py [--tokens 32768] [--haystacks 2]     # about 10 minutes

Two layers of the 65M shape, k = 2,048 as released. No model that trains here learns to look up over
32K tokens, so the weights are set by hand to do just that (`lookup`), and what is measured is the
engine: whether the indexer's choice finds the one token that counts, and what it costs. A haystack
holds 32 pairs (key, value), a token each, among random filler; every key is asked for, and the next
token has to be its value. "a question": the step that reads it behind the cached haystack.
"""

import argparse
import random
import statistics
import time

import torch

from _results import write
from speciale.engine.bench import SHAPES, bench_core, prefill_seconds
from speciale.engine.core import Core
from speciale.engine.params import SamplingParams
from speciale.model import ModelConfig, Transformer
from speciale.model.moe import Moe

SHAPE = {
    **SHAPES["65m"], "num_hidden_layers": 2, "num_nextn_predict_layers": 0, "index_topk": 2048,
}  # fmt: skip
KINDS = 32  # different keys, and different values
FILLER, PAIR = 4096, 4096  # ids below 4,096 are filler; from there on pairs, questions, values
ASK = PAIR + KINDS * KINDS
VALUE = ASK + KINDS
SCORE = 30.0  # of the right pair in attention, all others 0: e^30 outweighs 32K tokens


@torch.no_grad()
def lookup() -> Transformer:
    """A model that answers a question by the value of its key's pair, wherever that stands.

    In the residual stream a question has its key at 0.., a pair its key at 32.. and its value at
    64.., filler what is random from 128 on; the last layer moves the value to 96.. .
    """
    config = ModelConfig(**SHAPE)
    model = Transformer(config)
    model.initialise(0)
    embedding, head = model.embed_tokens.weight, model.lm_head.weight
    embedding[:, :128], head[:] = 0, 0
    embedding[FILLER:] = 0
    one = torch.eye(KINDS)
    ids = torch.arange(KINDS * KINDS)
    embedding[PAIR:ASK, 32:64], embedding[PAIR:ASK, 64:96] = one[ids // KINDS], one[ids % KINDS]
    embedding[ASK:VALUE, :32] = one
    head[VALUE : VALUE + KINDS, 96:128] = one
    for layer in model.main_layers:  # they compute, but leave the stream as it is
        layer.self_attn.o_proj.weight.zero_()
        mlp = layer.mlp
        for part in (mlp.shared_experts, mlp.experts) if isinstance(mlp, Moe) else (mlp,):
            getattr(part.down_proj, "weight", part.down_proj).zero_()  # of experts: one tensor
    attention = model.main_layers[-1].self_attn
    for weight in (attention.q_a_proj, attention.q_b_proj, attention.kv_a_proj_with_mqa,
                   attention.kv_b_proj, attention.indexer.wq_b, attention.indexer.wk,
                   attention.indexer.weights_proj):  # fmt: skip
        weight.weight.zero_()
    # Latents: of a question its key, of a pair its key and value. Norms make them q and c long.
    q, c = config.q_lora_rank**0.5, (config.kv_lora_rank / 2) ** 0.5
    attention.q_a_proj.weight[:32, :32] = one
    attention.kv_a_proj_with_mqa.weight[:64, 32:96] = torch.eye(64)
    nope, value = config.qk_nope_head_dim, config.v_head_dim
    for number in range(config.num_attention_heads):
        at = number * (nope + config.qk_rope_head_dim)
        attention.q_b_proj.weight[at : at + 32, :32] = one * SCORE / (q * c * attention.scale)
        at = number * (nope + value)
        attention.kv_b_proj.weight[at : at + 32, :32] = one
        attention.kv_b_proj.weight[at + nope : at + nope + 32, 32:64] = one
    attention.o_proj.weight[96:128, :32] = one
    # The indexer, where no position turns its numbers.
    indexer, first = attention.indexer, config.qk_rope_head_dim
    indexer.wk.weight[first : first + 32, 32:64] = one
    for number in range(config.index_n_heads):
        at = number * config.index_head_dim + first
        indexer.wq_b.weight[at : at + 32, :32] = one
        indexer.weights_proj.weight[number, :32] = 1
    return model.eval()


def haystack(tokens: int, seed: int) -> tuple[list[int], list[int]]:
    """Its ids, and the value of each key."""
    draw = random.Random(seed)
    ids = [draw.randrange(FILLER) for _ in range(tokens)]
    values = [draw.randrange(KINDS) for _ in range(KINDS)]
    for key, place in enumerate(draw.sample(range(tokens), KINDS)):
        ids[place] = PAIR + key * KINDS + values[key]
    return ids, values


def asked(core: Core, ids: list[int], key: int) -> tuple[int, float]:
    """The token behind a question, and the seconds of the step that reads it."""
    params = SamplingParams(temperature=0, max_tokens=1, ignore_eos=True)
    core.add([*ids, ASK + key], params)
    start = time.perf_counter()
    [update] = [update for update in core.step() if update.completion is not None]
    return update.completion.ids[0], time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, default=32_768)
    parser.add_argument("--haystacks", type=int, default=2)
    args = parser.parse_args()
    model = lookup()
    right = dict.fromkeys(("sparse", "dense", "window"), 0)
    read, answer = ({kind: [] for kind in right} for _ in range(2))
    for seed in range(args.haystacks):
        ids, values = haystack(args.tokens, seed)
        for kind in right:  # in turns
            core = bench_core(model, args.tokens + 2, speculate=False, attention=kind)
            core.runner.paths.crossings  # noqa: B018  measured before, not while it is timed
            read[kind].append(prefill_seconds(core, ids))
            for key, value in enumerate(values):
                token, seconds = asked(core, ids, key)
                right[kind] += token == VALUE + value
                answer[kind].append(seconds)
            print(f"haystack {seed}, {kind}: {read[kind][-1]:.1f} s, {right[kind]} right so far")
    count = args.haystacks * KINDS
    rows = []
    for kind in right:
        seconds = statistics.median(read[kind])
        rows.append(
            {
                "attention": kind,
                "context": args.tokens,
                "questions": count,
                "right %": 100 * right[kind] / count,
                "reading s": seconds,
                "tokens/s": args.tokens / seconds,
                "a question ms": statistics.median(answer[kind]) * 1e3,
            }
        )
    write("long_context", rows)


if __name__ == "__main__":
    main()
