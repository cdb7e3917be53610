"""A run of seconds: a recipe with every stage in it, and a folder of text to train on."""

import random
from pathlib import Path

RECIPE = """\
name = "micro"
seed = 1

[model]
vocab_size = 300
hidden_size = 32
intermediate_size = 48
moe_intermediate_size = 16
num_hidden_layers = 2
first_k_dense_replace = 1
num_attention_heads = 2
num_key_value_heads = 2
q_lora_rank = 16
kv_lora_rank = 16
qk_nope_head_dim = 8
qk_rope_head_dim = 8
v_head_dim = 16
n_routed_experts = 4
num_experts_per_tok = 2
n_group = 2
topk_group = 2
index_n_heads = 2
index_head_dim = 16
index_topk = 8
max_position_embeddings = 256

[data]
sources = ["{texts}"]
text_megabytes = 0.02
context = 64
families = {{ chain_sum = 1 }}
conversations = 100
docstring_share = 0.0

[pretrain]
steps = {pretrain}
batch_size = 2
learning_rate = 3e-3

[warmup]
steps = {warmup}
batch_size = 2
learning_rate = 3e-3

[sparse]
steps = {sparse}
batch_size = 2
learning_rate = 1e-3

[sft]
steps = {sft}
batch_size = 2
learning_rate = 1e-3

[evaluation]
valid_sequences = 2
valid_every = 5
problems_per_family = 2
max_new_tokens = 4
"""


def write_micro(folder: Path, pretrain=12, warmup=5, sparse=7, sft=11) -> Path:
    """Writes micro.toml, with so many steps in each stage, and its texts; returns its path."""
    texts = folder / "texts"
    texts.mkdir(parents=True)
    draw = random.Random(0)
    for n in range(20):
        words = ("".join(draw.choices("abcdef ", k=6)) for _ in range(200))
        (texts / f"{n}.txt").write_text(f"Text {n}\n" + " ".join(words), "utf-8")
    recipe = folder / "micro.toml"
    steps = dict(pretrain=pretrain, warmup=warmup, sparse=sparse, sft=sft)
    recipe.write_text(RECIPE.format(texts=texts, **steps), "utf-8")
    return recipe


def write_long_texts(folder: Path) -> Path:
    """Texts of which a single one is longer than an agent's conversation; returns their folder."""
    texts = folder / "long"
    texts.mkdir()
    for n in range(8):
        (texts / f"{n}.txt").write_text(f"Text {n} has a line.\n" * 1600, "utf-8")
    return texts
