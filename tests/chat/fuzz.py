"""A million damaged completions: `make fuzz`, or `python tests/chat/fuzz.py [COUNT] [--seed N]`.

What holds for each of them is `check`. A failure prints the completion, whole.
"""

from __future__ import annotations

import json
import os
import random
import re
import sys
import time
from argparse import ArgumentParser
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # run as a script

from chat.mutations import completion, mutate
from speciale.chat import ChatFormatError, StreamParser, join, parse

SIZES = (1, 1, 2, 3, 5, 7, 11, 16, 17, 40)


def check(text: str, thinking_mode: str, size: int) -> bool:
    """Raises AssertionError where a law is broken; says whether strict parsing took `text`."""
    message = parse(text, thinking_mode, "lenient")  # never raises
    assert join(events(text, thinking_mode, "lenient", size)) == message, "split, lenient"
    for said in (message["content"], message["reasoning_content"]):
        assert not re.search("</?[｜‖]|</?think>|[｜‖]DSML[｜‖]", said), "markup in text"
    for call in message["tool_calls"]:
        check_call(text, **call["function"])
    assert len(message["tool_calls"]) <= len(re.findall("DSML[｜‖]{1,2}invoke", text)), "a call"
    try:
        strict = parse(text, thinking_mode)  # raises its own error only
    except ChatFormatError as error:
        assert 0 <= error.offset <= len(text), "offset"
        return False
    assert join(events(text, thinking_mode, "strict", size)) == strict, "split, strict"
    if same_for_both(text, strict):
        assert message == strict, "lenient differs from strict"
    return True


def events(text: str, thinking_mode: str, mode: str, size: int) -> list:
    parser = StreamParser(thinking_mode, mode)
    found = [e for at in range(0, len(text), size) for e in parser.feed(text[at : at + size])]
    return [*found, *parser.finish()]


def check_call(text: str, name: str, arguments: str) -> None:
    """Nothing is invented: name, keys and values all stand in the completion."""
    assert re.search(rf"""invoke\s*name\s*=\s*["']{re.escape(name)}["']""", text), "invented name"
    values = json.loads(arguments)
    for key, value in values.items():
        inline = arguments in text
        assert inline or f'name="{key}"' in text, "invented key"
        if isinstance(value, str):
            assert inline or value in text, "invented value"
        else:
            said = arguments.split(f"{json.dumps(key, ensure_ascii=False)}: ", 1)[1]
            assert any(said[:n] in text for n in range(1, len(said) + 1)), "invented value"


def same_for_both(text: str, strict: dict) -> bool:
    """Whether a completion that strict takes has nothing that lenient reads otherwise: marks in
    the text, markup in names or values, values that are no JSON, calls that are cut off."""
    said = strict["content"] + strict["reasoning_content"]
    if re.search("[｜‖]", said + json.dumps(strict["tool_calls"], ensure_ascii=False)):
        return False
    if not text.endswith("｜end▁of▁sentence｜>"):
        return False
    for call in strict["tool_calls"]:
        if re.search(r'["<>\n]', call["function"]["name"]):
            return False
        try:
            json.loads(call["function"]["arguments"])
        except ValueError:
            return False
    return True


def run(seed: int, count: int) -> tuple[int, int]:
    """(checked, taken by strict) for `count` completions."""
    draw = random.Random(seed)
    taken = 0
    for number in range(count):
        thinking = draw.random() < 0.6
        text = completion(draw, thinking)
        if number % 10:
            text = mutate(draw, text)
        mode, size = "thinking" if thinking else "chat", draw.choice(SIZES)
        try:
            taken += check(text, mode, size)
        except BaseException:
            print(f"\nseed {seed}, number {number}: check({text!r}, {mode!r}, {size})", flush=True)
            raise
    return count, taken


def main(count: int, seed: int) -> None:
    workers, part = os.cpu_count() or 1, 5_000
    start = time.perf_counter()
    done = taken = 0
    with ProcessPoolExecutor(workers) as pool:
        seeds = range(seed * 1_000_000, seed * 1_000_000 + max(1, count // part))
        for checked, ok in pool.map(run, seeds, [min(part, count)] * len(seeds)):
            done, taken = done + checked, taken + ok
            spent = time.perf_counter() - start
            left = spent / done * (count - done)
            print(f"\r{done:,} checked, {taken:,} strict, {left:.0f} s left ", end="", flush=True)
    print(f"\n{done:,} completions passed in {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    arguments = ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("count", type=int, nargs="?", default=1_000_000)
    arguments.add_argument("--seed", type=int, default=0)
    given = arguments.parse_args()
    main(given.count, given.seed)
