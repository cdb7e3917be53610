"""The model: configuration, MLA, lightning indexer, experts, MTP, checkpoints."""

from speciale.model.cache import Cache
from speciale.model.checkpoint import load_model, save_model
from speciale.model.config import ModelConfig
from speciale.model.context import Trace
from speciale.model.transformer import Transformer

__all__ = ["Cache", "ModelConfig", "Trace", "Transformer", "load_model", "save_model"]
