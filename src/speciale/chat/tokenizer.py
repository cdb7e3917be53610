"""Text to token ids and back: a tokenizer's files, and the mark that tells two of them apart.

The chat format's markers are single tokens of the vocabulary (chat.markers.SPECIAL_TOKENS).
"""

import hashlib
import json
from pathlib import Path

from tokenizers import Tokenizer

from speciale.chat.markers import BOS, EOS, PAD
from speciale.errors import CheckpointError
from speciale.files import write_atomic

# What decides which ids a text gets; the rest of tokenizer.json (padding and truncation) may
# change while a tokenizer is in use.
_CONTENTS = ("added_tokens", "normalizer", "pre_tokenizer", "model")


def save_tokenizer(tokenizer: Tokenizer, folder: str | Path) -> None:
    """Write tokenizer.json and tokenizer_config.json, which transformers' AutoTokenizer loads."""
    folder = Path(folder)
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BOS,
        "eos_token": EOS,
        "pad_token": PAD,
        "clean_up_tokenization_spaces": False,
    }
    write_atomic(folder / "tokenizer_config.json", json.dumps(config, indent=2, ensure_ascii=False))
    write_atomic(folder / "tokenizer.json", tokenizer.to_str(pretty=True))


def load_tokenizer(folder: str | Path) -> Tokenizer:
    """Read `folder`/tokenizer.json. Raises CheckpointError where it is missing or corrupt."""
    path = Path(folder) / "tokenizer.json"
    try:
        return Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(
            f"There is no readable tokenizer at {path} ({error.strerror}): "
            "give the folder of a run or of a converted checkpoint."
        ) from error
    except Exception as error:  # tokenizers raises a bare Exception for whatever it cannot parse
        raise CheckpointError(
            f"The tokenizer {path} is corrupt ({error}): "
            "copy it again from where it was made, or train it anew."
        ) from error


def fingerprint(tokenizer: Tokenizer) -> str:
    """16 hex digits that two tokenizers share only if they give every text the same ids."""
    contents = json.loads(tokenizer.to_str())
    decisive = json.dumps({key: contents[key] for key in _CONTENTS}, sort_keys=True)
    return hashlib.sha256(decisive.encode()).hexdigest()[:16]
