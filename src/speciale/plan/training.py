"""Memory and traffic of a rank in training, from the shapes alone: what train/parallel does.

FSDP2 cuts every parameter over all ranks, experts over those that hold the same ones; context ranks
share each sequence. Byte counts are of one rank and one step; tests hold them against what small
jobs really keep and send.
"""

from __future__ import annotations

from dataclasses import dataclass

from speciale.errors import ConfigError
from speciale.model.checkpoint.pieces import Piece, pieces_of
from speciale.model.config import ModelConfig
from speciale.plan.hardware import Hardware
from speciale.train.flops import training_flops
from speciale.train.parallel.ranks import Layout
from speciale.train.recipe import StageName

MASTER = 4 + 4 + 8  # bytes a parameter: float32, its gradient, AdamW's two moments


@dataclass(frozen=True)
class Job:
    config: ModelConfig
    stage: StageName
    batch_size: int  # sequences a step
    context: int  # tokens of each
    ranks: int
    layout: Layout
    value_bytes: int = 2  # of weights and activations while they compute: bfloat16; 4 on a CPU
    mtp: bool = True
    fused: bool = True  # attention and norms, as on GPUs; PyTorch's own on CPUs keep more

    def __post_init__(self) -> None:
        for size, name in (
            (self.layout.context, "--context-ranks"), (self.layout.experts, "--expert-ranks"),
        ):  # fmt: skip
            if self.ranks % size:
                raise ConfigError(
                    f"{name} {size} does not divide the {self.ranks} GPUs: change one"
                )
        if self.batch_size % (self.ranks // self.layout.context):
            raise ConfigError(
                f"{self.batch_size} sequences a step cannot be shared by {self.ranks} GPUs in "
                f"groups of {self.layout.context}: raise --context-ranks or the batch size"
            )

    @property
    def rows(self) -> int:
        """Sequences that a rank works on."""
        return self.batch_size * self.layout.context // self.ranks

    @property
    def tokens(self) -> int:
        """Of a rank, a step."""
        return self.rows * self.context // self.layout.context

    @property
    def micro_batches(self) -> int:
        return -(-self.rows // (self.layout.micro_batch or self.rows))

    @property
    def tokens_at_once(self) -> float:
        return self.tokens / self.micro_batches

    @property
    def blocks(self) -> int:
        return self.config.num_hidden_layers + self.uses_mtp

    @property
    def uses_mtp(self) -> bool:
        return self.mtp and self.config.num_nextn_predict_layers > 0

    @property
    def moe_blocks(self) -> int:
        return self.blocks - self.config.first_k_dense_replace

    @property
    def learns_index(self) -> bool:
        return self.stage != "pretrain"

    @property
    def selects(self) -> bool:
        return self.stage in ("sparse", "sft") and self.context > self.config.index_topk


@dataclass(frozen=True)
class Parameters:
    """Counts; buffers are left out."""

    experts: int  # of routed experts
    others: int
    ends: int  # of the others: embedding and head
    largest_block: int  # of a block, without its routed experts
    block_experts: int  # of a block's routed experts

    @classmethod
    def of(cls, config: ModelConfig) -> Parameters:
        experts = others = 0
        blocks: dict[int, int] = {}
        for piece in pieces_of(config).values():
            if piece.copy or piece.name.endswith("e_score_correction_bias"):
                continue
            size = _size(piece)
            if piece.expert is not None:
                experts += size
                continue
            others += size
            if piece.layer is not None:
                blocks[piece.layer] = blocks.get(piece.layer, 0) + size
        moe = config.num_hidden_layers - config.first_k_dense_replace
        moe += config.num_nextn_predict_layers
        ends = 2 * config.vocab_size * config.hidden_size
        return cls(experts, others, ends, max(blocks.values()), experts // max(1, moe))

    @property
    def total(self) -> int:
        return self.experts + self.others


def _size(piece: Piece) -> int:
    size = 1
    for side in piece.shape:
        size *= side
    return size


def state_bytes(job: Job, parameters: Parameters) -> float:
    """Masters, gradients and AdamW's moments of a rank."""
    if job.stage == "warmup":  # indexers alone have gradients and moments
        trained = _indexer(job.config) * job.blocks
        return (4 * parameters.total + (MASTER - 4) * trained) / job.ranks
    return MASTER * parameters.total / job.ranks


def gathered_bytes(job: Job, parameters: Parameters) -> float:
    """Weights and gradients of two whole blocks, the one that runs and the one that comes."""
    held = parameters.largest_block + parameters.block_experts / job.layout.experts
    return 2 * held * job.value_bytes + held * 4


def kept_bytes(job: Job) -> float:
    """Activations that a rank keeps for the backward pass."""
    per_token = (job.blocks * _kept_of_block(job)) + _kept_of_ends(job)
    return per_token * job.tokens_at_once


def _kept_of_block(job: Job) -> float:
    """Bytes a token that a block keeps: its input alone where the rest is recomputed."""
    if job.layout.recompute:
        return job.config.hidden_size * job.value_bytes
    return block_bytes(job)


def block_bytes(job: Job) -> float:
    """Bytes a token of all that a block's backward pass reads, mean over dense and MoE blocks."""
    c = job.config
    heads, dqk, dv = c.num_attention_heads, c.qk_head_dim, c.v_head_dim
    latent = c.kv_lora_rank + c.qk_rope_head_dim
    norm = 2 if job.fused else 3  # input, output, and what lies between
    # Keys and values of the whole sequence, by every rank that has a chunk of it.
    of_keys = heads * (dqk + c.qk_nope_head_dim + dv) + latent
    attention = (
        norm * (2 * c.hidden_size + c.q_lora_rank)
        + heads * dqk
        + latent
        + (norm - 2) * c.kv_lora_rank
        + job.layout.context * of_keys
        + heads * dv * (2 if job.fused else 1)
        + (0 if job.fused else heads * job.context)  # the attention's probabilities
    )
    # The indexer's gradients, which the KL takes at once, and what its key's norm keeps.
    keys = (1 + job.layout.context) * c.index_head_dim
    index = c.index_n_heads * (c.index_head_dim + 1) + keys if job.learns_index else 0
    shared = 4 * c.moe_intermediate_size * c.n_shared_experts
    chosen = c.num_experts_per_tok * (2 * c.hidden_size + 4 * c.moe_intermediate_size)
    routing = c.n_routed_experts + 9 * c.num_experts_per_tok  # scores, weights, ids, orders
    dense = 4 * c.intermediate_size
    share = job.moe_blocks / job.blocks
    feeding = share * (shared + chosen + routing) + (1 - share) * dense
    return job.value_bytes * (attention + feeding) + 4 * index


def _kept_of_ends(job: Job) -> float:
    """Bytes a token of final norms, heads and what joins the MTP layer: float32 log-probs above
    all, since the loss takes them at once."""
    c, norm = job.config, 2 if job.fused else 3
    if job.stage == "warmup":
        return 0.0
    floats = norm + (2 * norm + 1 if job.uses_mtp else 0) + (norm if job.uses_mtp else 0)
    heads = 1 + job.uses_mtp
    return heads * 4 * c.vocab_size + floats * c.hidden_size * job.value_bytes


def _indexer(config: ModelConfig) -> int:
    """Parameters of one indexer."""
    index = config.index_n_heads * config.index_head_dim
    return (
        config.q_lora_rank * index
        + config.hidden_size * (config.index_head_dim + config.index_n_heads)
        + 2 * config.index_head_dim
    )


@dataclass(frozen=True)
class Traffic:
    """Bytes that a rank gets from others in a step."""

    weights: float  # FSDP: gathered for the forward and again for the backward pass
    gradients: float
    experts: float  # tokens to experts and back
    sequence: float  # latents and index keys of the rest of the sequence

    @property
    def total(self) -> float:
        return self.weights + self.gradients + self.experts + self.sequence


def traffic(job: Job, parameters: Parameters) -> Traffic:
    c, b, layout = job.config, job.value_bytes, job.layout
    copies = job.ranks // layout.experts
    apart, among = _leaves(job.ranks), _leaves(copies)
    others, experts = parameters.others, parameters.experts / layout.experts
    ends = parameters.ends if job.uses_mtp else 0  # which the MTP layer uses again
    if job.stage == "warmup":
        # No head, but the embedding once more for the MTP layer; and backwards the blocks alone,
        # without experts, for their indexers' gradients.
        blocks = others - parameters.ends
        embedding = parameters.ends / 2 * (1 + job.uses_mtp)
        weights = b * ((2 * blocks + embedding) * apart + experts * among)
        gradients = 4 * _indexer(c) * job.blocks * apart
    else:
        weights = 2 * b * ((others + ends) * apart + experts * among)
        gradients = 4 * (others * apart + experts * among)
    passes = 2 if job.stage == "warmup" else 4 + 2 * layout.recompute  # there and back, each way
    tokens = job.tokens * c.num_experts_per_tok * c.hidden_size * b
    travelling = job.moe_blocks * passes * tokens * _leaves(layout.experts)
    latents = (c.kv_lora_rank + c.qk_rope_head_dim) * (2 + layout.recompute)
    keys = c.index_head_dim * (2 + layout.recompute) if job.learns_index else 0
    rows = job.rows * job.context * _leaves(layout.context)
    return Traffic(
        weights * job.micro_batches,
        gradients * job.micro_batches,
        travelling,
        job.blocks * rows * b * (latents + keys),
    )


def _leaves(ranks: int) -> float:
    """The share of what a group exchanges that comes from another rank."""
    return (ranks - 1) / ranks


@dataclass(frozen=True)
class StepTime:
    """Seconds of a step, and what they are made of."""

    compute: float
    sharding: float  # weights and gradients, beside the compute
    exposed: float  # experts and sequence, which compute waits for

    @property
    def total(self) -> float:
        return max(self.compute, self.sharding) + self.exposed


def step_time(job: Job, hardware: Hardware, moved: Traffic) -> StepTime:
    flops = training_flops(job.config, job.stage, job.context, job.uses_mtp)
    if job.layout.recompute:
        flops *= 4 / 3  # the forward pass once more
    compute = flops * job.tokens / (hardware.tflops * 1e12 * hardware.efficiency)
    sharding = (moved.weights + moved.gradients) / hardware.bandwidth(job.ranks)
    exposed = moved.experts / hardware.bandwidth(job.layout.experts)
    exposed += moved.sequence / hardware.bandwidth(job.layout.context)
    return StepTime(compute, sharding, exposed)
