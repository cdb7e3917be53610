"""Which way of attention is faster for a piece of prefill depends on heads, piece and context.

One layer's attention, masked MHA against absorbed MQA (all tokens up to k, the selected ones behind
it), for the 65M shape and for a layer with the released heads and ranks on a small hidden size. The
engine measures the same at its first prefill and takes MHA up to the context where it stops to win.

    python benchmarks/engine_paths.py
"""

from _results import write
from speciale.engine.bench import SHAPES
from speciale.engine.layers import Layers
from speciale.engine.paths import PathChoice
from speciale.model import ModelConfig, Transformer

WIDE = dict(
    num_attention_heads=128, num_key_value_heads=128, kv_lora_rank=512, qk_rope_head_dim=64,
    qk_nope_head_dim=128, v_head_dim=128, index_n_heads=64, index_head_dim=128, index_topk=2048,
)  # fmt: skip


def rows(name: str, shape: dict) -> list[dict]:
    one = dict(num_hidden_layers=1, first_k_dense_replace=1, num_nextn_predict_layers=0)
    model = Transformer(ModelConfig(**{**SHAPES["65m"], **shape, **one}))
    model.initialise(0)
    topk = model.config.index_topk
    choice = PathChoice(model.eval(), Layers(model, topk), topk)
    found = []
    for piece in (32, 128, 512):
        for total in (512, 2048, 8192):
            masked, absorbed = choice.measure(piece, total)
            found.append(
                {
                    "layer": name,
                    "piece": piece,
                    "context": total,
                    "MHA ms": masked * 1e3,
                    "MQA ms": absorbed * 1e3,
                    "MHA / MQA": masked / absorbed,
                    "chosen": "MHA" if choice.masked(piece, total) else "MQA",
                }
            )
    return found


if __name__ == "__main__":
    write("engine_paths", rows("65M", {}) + rows("released heads", WIDE))
