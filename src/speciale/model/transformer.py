"""DeepSeek-V3.2: embedding, decoder blocks, final norm, head, and the MTP block behind them.

Report arXiv 2512.02556, section 2 (the architecture is V3.1's, plus sparse attention).
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from speciale.model.block import Block
from speciale.model.cache import Cache
from speciale.model.config import Attention, ModelConfig
from speciale.model.context import Chunk, Trace, Tree, Visibility
from speciale.model.moe import Experts, Moe, Router
from speciale.model.mtp import MtpBlock
from speciale.model.parts import place
from speciale.model.rope import Rope, rope_frequencies


class _Embedding(nn.Embedding):
    def reset_parameters(self) -> None:
        if not self.weight.is_meta:  # as in rope_frequencies
            super().reset_parameters()


class Transformer(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = _Embedding(config.vocab_size, config.hidden_size)
        blocks: list[Block] = [Block(config, n) for n in range(config.num_hidden_layers)]
        if config.num_nextn_predict_layers:
            blocks.append(MtpBlock(config))  # layer num_hidden_layers, as in the released files
        self.layers = nn.ModuleList(blocks)
        self.norm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.reset_rope()

    def reset_rope(self) -> None:
        """Computes the rotary frequencies, which no checkpoint holds."""
        frequencies, self.rope_factor = rope_frequencies(self.config)
        frequencies = frequencies.to(self.norm.weight.device)
        self.register_buffer("rope_frequencies", frequencies, persistent=False)

    @property
    def mtp(self) -> MtpBlock | None:
        last = self.layers[-1]
        return last if isinstance(last, MtpBlock) else None

    @property
    def main_layers(self) -> list[Block]:
        return list(self.layers)[: self.config.num_hidden_layers]

    def forward(
        self,
        ids: Tensor,
        cache: Cache | None = None,
        attention: Attention | None = None,
        documents: Tensor | None = None,
        trace: Trace | None = None,
        replay: list[Tensor] | None = None,
    ) -> Tensor:
        """Token ids [B, T] -> logits [B, T, V].

        cache: the past, which this call extends (rows of equal length).
        attention: None is the configuration's.
        documents: [B, T] ids of packed samples that must not see each other (no cache then).
        trace: filled with routing, selections and, if asked, what the KL loss needs.
        replay: expert ids per MoE layer, as a Trace recorded them (Keep Routing).
        """
        return self.lm_head(self.hidden(ids, cache, attention, documents, trace, replay))

    def hidden(
        self,
        ids: Tensor,
        cache: Cache | None = None,
        attention: Attention | None = None,
        documents: Tensor | None = None,
        trace: Trace | None = None,
        replay: list[Tensor] | None = None,
        tree: Tree | None = None,
        chunk: Chunk | None = None,
    ) -> Tensor:
        """What the head reads: [B, T, hidden], behind the final norm. Arguments as `forward`.

        tree: the rows hold sequences that share their beginnings (no cache, no documents then).
        chunk: `ids` are this share of each sequence, `documents` those of the whole (no cache).
        """
        attention = attention or self.config.attention
        rope, visible = self._positions(ids, cache, attention, documents, tree, chunk)
        trace = Trace() if trace is None else trace
        routes = iter(replay) if replay is not None else None
        h = self.embed_tokens(ids)  # [B, T, hidden]
        for n, layer in enumerate(self.main_layers):
            route = next(routes) if routes is not None and isinstance(layer.mlp, Moe) else None
            past = None if cache is None else cache.layers[n]
            h, seen = layer(h, rope, visible, attention, past, trace.measure, route)
            trace.add(seen)
        return self.norm(h)

    def mtp_hidden(
        self,
        hidden: Tensor,
        next_ids: Tensor,
        attention: Attention | None = None,
        documents: Tensor | None = None,
        trace: Trace | None = None,
        chunk: Chunk | None = None,
    ) -> Tensor:
        """hidden of t and the ids of t+1 -> what the shared head reads for t+2, [B, T, hidden]."""
        assert self.mtp is not None, "this configuration has no MTP layer"
        attention = attention or self.config.attention
        rope, visible = self._positions(next_ids, None, attention, documents, None, chunk)
        trace = Trace() if trace is None else trace
        out, seen = self.mtp.predict(
            hidden, self.embed_tokens(next_ids), rope, visible, attention, trace.measure
        )
        trace.add(seen)
        return out

    def rope(self, positions: Tensor) -> Rope:
        """The rotary tables of positions [T] or [B, T]."""
        return Rope(self.rope_frequencies, self.rope_factor, positions)

    def _positions(
        self,
        ids: Tensor,
        cache: Cache | None,
        attention: Attention,
        documents: Tensor | None,
        tree: Tree | None = None,
        chunk: Chunk | None = None,
    ) -> tuple[Rope, Visibility]:
        length = ids.shape[1]
        first = cache.length if cache is not None else chunk.first if chunk is not None else 0
        total = first + length if chunk is None else chunk.total
        positions = torch.arange(first, first + length, device=ids.device)
        rope = self.rope(positions if tree is None else tree.positions)
        window = self.config.index_topk if attention == "window" else None
        return rope, Visibility(length, total, ids.device, documents, window, tree, chunk)

    def _drawn(self, seed: int) -> Iterator[tuple[str, Tensor]]:
        """New values for the whole state, one by one."""
        generator = torch.Generator().manual_seed(seed)
        std = self.config.initializer_range
        drawn = (nn.Linear, nn.Embedding, Router, Experts)
        for prefix, module in self.named_modules():
            for name, tensor in (*module._parameters.items(), *module._buffers.items()):
                if tensor is None or name in module._non_persistent_buffers_set:
                    continue
                values = torch.zeros(tensor.shape)
                if isinstance(module, drawn) and name in module._parameters:
                    values.normal_(0, std, generator=generator)
                elif name == "weight":
                    values.fill_(1)
                yield f"{prefix}.{name}", values

    @torch.no_grad()
    def initialise(self, seed: int) -> None:
        """Draws every weight anew: normal with `initializer_range`, norms one, biases zero.

        A model that is cut among ranks gets the same values, each rank its part.
        """
        state = self.state_dict()
        for name, values in self._drawn(seed):
            place(state[name], values)
