"""Checkpoints: the released layout and transformers' packed one, plain or FP8, in shards."""

from speciale.model.checkpoint.loading import load_model, load_state
from speciale.model.checkpoint.saving import save_model

__all__ = ["load_model", "load_state", "save_model"]
