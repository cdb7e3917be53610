"""`speciale generate` and `speciale bench` as a person uses them."""

import json

import pytest

from speciale import LLM, SamplingParams
from speciale.chat import encode

CONTEXT = 256  # of the model in conftest.py


def text(model, prompt, **params):
    [output] = LLM(model).generate([prompt], SamplingParams(**{"temperature": 0, **params}))
    return output.text


def test_generate_prints_the_text_and_the_rest_elsewhere(command, model):
    code, out, err = command("generate", model, "What is", "--max-tokens", "9")
    assert (code, out) == (0, text(model, "What is", max_tokens=9) + "\n")
    assert " tokens read in " in err and "9 written" in err and "ended by length" in err


def test_generate_chat_wraps_the_prompt_as_a_users_message(command, model):
    arguments = ["generate", model, "hi <｜User｜>", "--chat", "--max-tokens", "9"]
    for mode, extra in (("thinking", []), ("chat", ["--no-think"])):
        plain = encode([{"role": "user", "content": "hi there"}], mode)
        _, out, _ = command(*arguments[:2], "hi there", *arguments[3:], *extra)
        assert out == text(model, plain, max_tokens=9) + "\n"
    marked = encode([{"role": "user", "content": arguments[2]}], "thinking")
    out = command(*arguments)[1]
    assert out != text(model, marked, max_tokens=9) + "\n"  # a typed mark is only text


def test_generate_reads_standard_input_and_samples_by_seed(command, model):
    same = ["generate", model, "-", "--max-tokens", "9", "--temperature", "1", "-n", "2"]
    first = command(*same, "--seed", "4", given=b"Zwei plus zwei?")
    assert first[0] == 0 and "--- 1" in first[2]
    again = command(*same, "--seed", "4", given=b"Zwei plus zwei?")
    other = command(*same, "--seed", "5", given=b"Zwei plus zwei?")
    assert first[1] == again[1] != other[1]


@pytest.mark.parametrize(
    "given, why",
    [
        (b"", "the prompt is empty: give at least one token"),
        (b"\xff\xfe broken", "standard input is no UTF-8 text (invalid start byte at byte 0)"),
    ],
)
def test_generate_refuses_standard_input_without_text(command, model, given, why):
    code, out, err = command("generate", model, "-", given=given)
    assert code == 1 and out == "" and err.startswith("error: " + why)


def test_generate_takes_an_argument_that_is_no_unicode(command, model):
    code, out, _ = command("generate", model, "\udcff", "--max-tokens", "3")  # the byte FF typed
    assert code == 0 and out == text(model, "\udcff", max_tokens=3) + "\n"


def test_generate_fits_a_schema_and_says_where_it_is_cut_off(command, model, tmp_path):
    schema = {"enum": ["two", "plus"]}
    (tmp_path / "s.json").write_text(json.dumps(schema))
    code, out, err = command("generate", model, "What", "--json-schema", "s.json", "--seed", "1")
    assert code == 0 and json.loads(out) in schema["enum"] and "cut off" not in err
    code, out, err = command(
        "generate", model, "What", "--json-schema", "s.json", "--max-tokens", "1"
    )
    assert code == 0 and "the JSON is cut off: raise --max-tokens" in err


@pytest.mark.parametrize(
    "arguments, why",
    [
        (["x", "--temperature", "-1"], "temperature is -1"),
        (["x", "-n", "2"], "raise temperature or set n to 1"),
        (["x " * CONTEXT], f"but the context is {CONTEXT}"),
        (["x", "--json-schema", "nowhere.json"], "nowhere.json cannot be read"),
        (["x", "--json-schema", "broken.json"], "broken.json is not JSON"),
    ],
)
def test_generate_says_what_is_wrong_in_one_line(command, model, tmp_path, arguments, why):
    (tmp_path / "broken.json").write_text("{")
    code, out, err = command("generate", model, *arguments)
    assert code == 1 and out == ""
    assert err.startswith("error: ") and why in err and err.count("\n") == 1


@pytest.mark.parametrize("what", ["decode", "prefill"])
@pytest.mark.parametrize("attention", ["sparse", "dense"])
def test_bench_prints_and_writes_the_same_row(command, model, tmp_path, what, attention):
    code, out, _ = command(
        "bench", what, "--config", model, "--context", "100", "--tokens", "3",
        "--attention", attention, "--json", "row.json",
    )  # fmt: skip
    row = json.loads((tmp_path / "row.json").read_text())
    assert code == 0
    assert (row["bench"], row["context"], row["attention"]) == (what, 100, attention)
    assert row["tokens/s"] > 0 and f"{row['tokens/s']:.4g}" in out


@pytest.mark.parametrize(
    "arguments, why",
    [
        (["--config", "70b"], "'70b' is neither a shape (65m) nor a folder"),
        (["--context", "1"], "give a context of 2 or more"),
        (["--config", "MODEL", "--context", str(CONTEXT)], f"beyond the model's {CONTEXT}"),
    ],
)
def test_bench_says_what_is_wrong_in_one_line(command, model, arguments, why):
    code, out, err = command("bench", "decode", *(model if a == "MODEL" else a for a in arguments))
    assert code == 1 and out == ""
    assert err.startswith("error: ") and why in err and err.count("\n") == 1
