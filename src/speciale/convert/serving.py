"""What an engine wants beside the weights: tokenizer, generation settings, how prompts are written.

vLLM, SGLang and transformers read `config.json`, `tokenizer.json`, `tokenizer_config.json` and
`generation_config.json`; V3.2 has no Jinja template, so a note says how its prompts come about.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from speciale.chat import EOS
from speciale.chat.tokenizer import load_tokenizer
from speciale.errors import CheckpointError
from speciale.files import atomic, write_atomic
from speciale.model.config import ModelConfig

_COPIED = ("tokenizer.json", "tokenizer_config.json", "generation_config.json", "LICENSE")
_TEMPERATURE, _TOP_P = 1.0, 0.95  # the model card's advice for local use
_NOTE = """\
# How prompts are written

This model has no Jinja template: DeepSeek-V3.2's format (tools, thinking inside tool use) is a
program.

- `speciale serve FOLDER` and `speciale chat FOLDER` use it by themselves.
- `speciale encode request.json --tokenizer FOLDER` prints a prompt, `speciale parse` reads an
  answer; in Python `speciale.chat.encode` and `speciale.chat.parse`.
- vLLM: `--tokenizer-mode deepseek_v32 --tool-call-parser deepseek_v32 --reasoning-parser
  deepseek_v3`; SGLang: `--tool-call-parser deepseekv32 --reasoning-parser deepseek-v3`.
- Behind an engine that takes token ids:
  `speciale serve --upstream URL --mode tokens --tokenizer FOLDER`.

A generation ends at `{eos}` (token {eos_id}).
"""


def check_tokenizer(folder: Path, config: ModelConfig) -> None:
    """That the folder's tokenizer, if it has one, is this model's. CheckpointError if not."""
    if not (folder / "tokenizer.json").exists():
        return
    tokenizer = load_tokenizer(folder)
    if (size := tokenizer.get_vocab_size()) > config.vocab_size:
        raise CheckpointError(
            f"{folder / 'tokenizer.json'} has {size} tokens, the model {config.vocab_size} "
            "(vocab_size): it is another model's; copy the right one"
        )
    if (eos := tokenizer.token_to_id(EOS)) != config.eos_token_id:
        raise CheckpointError(
            f"{folder / 'tokenizer.json'} gives {EOS} the id {eos}, config.json says eos_token_id "
            f"{config.eos_token_id}: one of them is another model's; copy the right one"
        )


def write_serving_files(source: Path, out: Path, config: ModelConfig) -> None:
    """Copies the tokenizer and what else lies in `source`; writes what is missing."""
    for name in _COPIED:
        if (source / name).exists():
            with atomic(out / name) as temporary:
                shutil.copyfile(source / name, temporary)
    if not (out / "generation_config.json").exists():
        settings = {
            "_from_model_config": True,
            "bos_token_id": config.bos_token_id,
            "eos_token_id": config.eos_token_id,
            "do_sample": True,
            "temperature": _TEMPERATURE,
            "top_p": _TOP_P,
        }
        write_atomic(out / "generation_config.json", json.dumps(settings, indent=2) + "\n")
    write_atomic(out / "ENCODING.md", _NOTE.format(eos=EOS, eos_id=config.eos_token_id))
