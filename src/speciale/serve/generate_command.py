"""`speciale generate`: one prompt through the engine, its text on standard output.

A long prompt is read in chunks with progress and the time that is left on standard error.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from speciale.chat import encode_ids
from speciale.engine.grammar import JsonSchema
from speciale.engine.llm import LLM
from speciale.engine.params import SamplingParams
from speciale.errors import DataError, RequestError
from speciale.serve.standard_streams import read_text, write_text
from speciale.terminal import visible


def generate_text(
    folder: Path,
    prompt: str,
    chat: bool,
    think: bool,
    schema: Path | None,
    sampling: dict[str, Any],
    device: str = "cpu",
) -> None:
    """Prints the completions; RequestError for what cannot be served."""
    params = SamplingParams(**sampling, grammar=_grammar(schema, chat and think))
    text = read_text(Path("-")) if prompt == "-" else prompt
    llm = LLM(folder, device=device)
    if chat and llm.tokenizer is not None:
        mode = "thinking" if think else "chat"
        ids = encode_ids(llm.tokenizer, [{"role": "user", "content": text}], mode)
    else:
        ids = llm.encode(text)
    [output] = llm.generate([ids], params)
    for completion in output.completions:
        if completion.error:
            raise RequestError(completion.error)
        if len(output.completions) > 1:
            print(f"--- {completion.index}", file=sys.stderr)
        # A model's text must not steer the terminal; into a file it goes as it is.
        write_text((visible(completion.text) if sys.stdout.isatty() else completion.text) + "\n")
        first = completion.seconds_to_first or 0
        speed = (len(completion.ids) - 1) / max(completion.seconds - first, 1e-9)
        print(
            f"{len(ids)} tokens read in {first:.2f} s, {len(completion.ids)} written at "
            f"{speed:.0f} tokens/s, ended by {completion.finish_reason}",
            file=sys.stderr,
        )
        if schema is not None and completion.finish_reason == "length":
            print(
                "the JSON is cut off: raise --max-tokens, or let the schema allow less (maxLength, "
                "maxItems, additionalProperties: false)",
                file=sys.stderr,
            )


def _grammar(path: Path | None, thinking: bool) -> JsonSchema | None:
    if path is None:
        return None
    text = read_text(path)
    try:
        return JsonSchema(json.loads(text), thinking)
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{path} is not JSON ({error}): give a file with a JSON schema") from None
