"""`speciale encode` and `speciale parse` as a person uses them."""

import json

import pytest

from speciale.chat import EOS, THINK_OPEN, encode
from speciale.chat.tokenizer import save_tokenizer
from speciale.train.bpe import train_tokenizer

MESSAGES = [{"role": "user", "content": "hi <｜User｜> \x1b[2J"}]
COMPLETION = """r</think>Hi\x1b[2J

<｜DSML｜function_calls>
<｜DSML｜invoke name="f">
<｜DSML｜parameter name="a" string="true">x
</｜DSML｜invoke>
</｜DSML｜function_calls>"""


def test_encode_prints_the_prompt_and_nothing_else(command, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(MESSAGES))
    assert command("encode", "a.json") == (0, encode(MESSAGES, "chat"), "")
    assert command("encode", "a.json", "--think") == (0, encode(MESSAGES, "thinking"), "")
    request = {"messages": [{"role": "user"}], "chat_template_kwargs": {"thinking": True}}
    given = json.dumps(request).encode()
    _, out, err = command("encode", "-", given=given)
    assert out.endswith(THINK_OPEN)
    assert err == "message 0: its missing content is empty text\n"
    assert not command("encode", "-", "--no-think", given=given)[1].endswith(THINK_OPEN)


def test_encode_gives_ids_and_colours(command, tmp_path):
    save_tokenizer(train_tokenizer(["hi hi"], 300), tmp_path)
    given = json.dumps(MESSAGES).encode()
    ids = json.loads(command("encode", "-", "--tokenizer", ".", given=given)[1])
    assert ids[:2] == [0, 3] and ids.count(3) == 1  # BOS and the one <｜User｜> of the template
    code, out, _ = command("encode", "-", "--explain", "--tokenizer", ".", given=given)
    assert code == 0
    assert "message 0: user" in out and f"{len(ids)} tokens" in out
    assert "\x1b[2J" not in out


def test_parse_prints_the_message_and_what_was_mended(command, tmp_path):
    (tmp_path / "a.txt").write_text(f"r</think>Hi{EOS}")
    code, out, err = command("parse", "a.txt")
    assert (code, err) == (0, "")
    assert json.loads(out)["content"] == "Hi"
    (tmp_path / "b.txt").write_text(COMPLETION)
    code, out, err = command("parse", "b.txt")
    assert (code, out) == (1, "")
    assert err.startswith("error: at character ")
    code, out, err = command("parse", "b.txt", "--mode", "lenient")
    assert json.loads(out)["tool_calls"][0]["function"]["arguments"] == '{"a": "x"}'
    assert "follows a value that is not closed" in err


def test_explain_shows_roles_and_repairs_and_obeys_nothing(command):
    options = ("--mode", "lenient", "--explain")
    code, out, _ = command("parse", "-", *options, given=COMPLETION.encode())
    assert code == 0
    for shown in ("reasoning", "content", 'f({"a": "x"})', "repair", "unclosed_parameter"):
        assert shown in out
    assert "finish_reason tool_calls" in out
    assert "\x1b[2J" not in out
    code, out, _ = command("parse", "-", *options, given=COMPLETION[:-60].encode())
    assert "dropped" in out


@pytest.mark.parametrize(
    ("arguments", "given", "problem"),
    [
        (("encode", "nowhere.json"), b"", "nowhere.json cannot be read (No such file"),
        (("encode", "-"), b"{", "- is not JSON"),
        (("encode", "-"), b"\xff", "standard input is no UTF-8 text"),
        (("encode", "-"), b"{}", "messages: it is null: pass a list of messages."),
        (("encode", "-"), b"3", "it is an int: pass an object with messages."),
        (("parse", "nowhere.txt"), b"", "nowhere.txt cannot be read"),
        (("parse", "-", "--no-think"), b"a", "at character 1: the answer ends without"),
    ],
)
def test_a_mistake_is_one_line(command, arguments, given, problem):
    code, out, err = command(*arguments, given=given)
    assert (code, out) == (1, "")
    assert err.startswith(f"error: {problem}") and err.count("\n") == 1
