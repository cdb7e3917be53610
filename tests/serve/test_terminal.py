import io
import os
import pty
import re
import select
import signal
import sys

import pytest
import torch
from tokenizers import Tokenizer, models

import speciale.serve.terminal as terminal
from model.configs import random_model, tiny_config
from speciale.chat import ASSISTANT, EOS, THINK_CLOSE, USER
from speciale.chat.tokenizer import save_tokenizer
from speciale.errors import CheckpointError, SpecialeError
from speciale.model import save_model
from speciale.serve.terminal import TerminalChat
from speciale.terminal import visible
from speciale.train.bpe import train_tokenizer

TOKENIZER = train_tokenizer(["What is two plus two? The answer is four.\n" * 20], 300)
VOCAB = TOKENIZER.get_vocab_size()
EOS_ID, CLOSE_ID = TOKENIZER.token_to_id(EOS), TOKENIZER.token_to_id(THINK_CLOSE)


def ids(text):
    return TOKENIZER.encode(text, add_special_tokens=False).ids


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A random model that never says EOS, with much context."""
    folder = tmp_path_factory.mktemp("tiny")
    model = random_model(tiny_config(vocab_size=VOCAB, max_position_embeddings=50_000))
    with torch.no_grad():
        model.lm_head.weight[EOS_ID] = 0
    save_model(model, folder)
    save_tokenizer(TOKENIZER, folder)
    return folder


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Scripted:
    """Stands for `stream`: each answer is a list of ids, or of ids and an exception to raise."""

    def __init__(self, *answers):
        self.answers, self.prompts, self.limits = list(answers), [], []

    def __call__(self, llm, prompt, params):
        limit = params.max_tokens
        self.prompts.append(TOKENIZER.decode(prompt, skip_special_tokens=False))
        self.limits.append(limit)
        for token in self.answers.pop(0)[:limit]:
            if isinstance(token, type):
                raise token
            yield token


@pytest.fixture
def talk(folder, monkeypatch):
    """talk(lines, *answers) -> (what stood on the screen, the Scripted with its prompts)."""

    def talk(lines, *answers, context=None, at_terminal=True, system="", think=True, longest=100):
        kind = Terminal if at_terminal else io.StringIO
        out, err = kind(), kind()
        monkeypatch.setattr(sys, "stdin", kind("".join(line + "\n" for line in lines)))
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)
        scripted = Scripted(*answers)
        monkeypatch.setattr(terminal, "stream", scripted)
        chat = TerminalChat(folder, system, think, 0.0, longest, 0)
        if context:
            chat._context = context
        chat.loop()
        return (out.getvalue() if at_terminal else (out.getvalue(), err.getvalue())), scripted

    return talk


def test_thinking_is_dim_and_the_answer_is_not(talk):
    shown, _ = talk(["hi"], [*ids("hm"), CLOSE_ID, *ids("four")])
    plain = re.sub(r"\x1b\[2m.*?\x1b\[0m", "", shown, flags=re.DOTALL)
    assert "four" in plain and "hm" not in plain and "</think>" not in shown
    assert re.search(r"\d+ tokens, [\d.]+ tokens/s", shown)


def test_the_first_line_says_what_was_loaded(talk, folder):
    shown, _ = talk([])
    assert re.search(rf"{folder.name}: [\d.]+K parameters, context 50000\. /think", shown)


def test_without_thinking_all_is_answer(talk):
    shown, scripted = talk(["/think off", "hi"], ids("four"))
    assert "four" in re.sub(r"\x1b\[2m.*?\x1b\[0m", "", shown, flags=re.DOTALL)
    assert scripted.prompts[0].endswith(f"{USER}hi{ASSISTANT}{THINK_CLOSE}")


def test_a_conversation_is_remembered_without_its_reasoning(talk):
    first, second = [*ids("secret"), CLOSE_ID, *ids("four")], [CLOSE_ID, *ids("yes")]
    _, scripted = talk(["one", "two", "/new", "three"], first, second, second)
    assert f"one{ASSISTANT}{THINK_CLOSE}four{EOS}{USER}two" in scripted.prompts[1]
    assert "secret" not in scripted.prompts[1]
    assert "two" not in scripted.prompts[2]


def test_system_is_set_shown_and_removed(talk):
    shown, scripted = talk(
        ["/system Be brief.", "/system", "a", '/system ""', "b"], ids("x"), ids("y"), think=False
    )
    assert shown.count("system prompt: Be brief.") == 2 and "no system prompt" in shown
    assert "Be brief." in scripted.prompts[0] and "Be brief." not in scripted.prompts[1]


@pytest.mark.parametrize(
    "line, answer",
    [
        ("/nope", "/nope is not a command"),
        ("/think maybe", "/think maybe is not known"),
        ("/new x", "/new takes nothing after it"),
        ("/help", "/system TEXT    set the system prompt"),
        ("/think", "thinking is on"),
    ],
)
def test_commands_answer(talk, line, answer):
    shown, scripted = talk([line])
    assert answer in shown and not scripted.prompts


def test_quit_leaves_before_the_next_line_and_a_space_makes_a_message(talk):
    _, scripted = talk([" /quit", "/quit", "never"], [CLOSE_ID])
    assert len(scripted.prompts) == 1 and f"{USER}/quit{ASSISTANT}" in scripted.prompts[0]


@pytest.mark.parametrize(
    "said", [[], ids("hm"), [*ids("hm"), CLOSE_ID], [*ids("hm"), CLOSE_ID, *ids("fo")]]
)
def test_a_stopped_answer_stays_and_the_next_question_works(talk, said):
    shown, scripted = talk(["one", "two"], [*said, KeyboardInterrupt], [CLOSE_ID, *ids("yes")])
    content = "fo" if "fo" in TOKENIZER.decode(said) else ""
    assert "stopped" in shown and "yes" in shown
    assert f"one{ASSISTANT}{THINK_CLOSE}{content}{EOS}{USER}two" in scripted.prompts[1]


def test_characters_of_several_tokens_never_show_broken(talk, monkeypatch):
    answer = ids("你好🙂é")
    assert len(answer) > 4  # split over tokens
    written = []
    monkeypatch.setattr(
        terminal.Screen, "write", lambda self, text, dim=False: written.append(text)
    )
    talk(["a"], answer, think=False)
    assert "你好🙂é" in "".join(written)
    assert not any("\ufffd" in text for text in written)
    assert "你" in written  # at once, not at the end


def test_invalid_bytes_are_shown_and_half_a_character_at_the_end_is_not(talk):
    a, b, _ = ids("你")
    shown, _ = talk(["q"], [a, *ids("x"), b, *ids("y"), a, b], think=False)
    assert "\ufffdx\ufffdy\n" in shown


def test_a_model_cannot_steer_the_terminal(talk):
    evil = "\x1b[2J\x1b]0;t\x07\r\x08\x7f\x9b31m\u202e[red]x[/red]\tü\n."
    assert TOKENIZER.decode(ids(evil)) == evil
    shown, scripted = talk(["a", "b"], ids(evil), [], think=False)
    assert "␛[2J␛]0;t␇␍␈␡␦31m␦[red]x[/red]\tü\n." in shown
    assert evil in scripted.prompts[1]  # only the screen is different
    assert not re.search(r"[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f]|\x1b(?!\[[02]m)", shown)


def test_visible_leaves_ordinary_text_alone():
    text = "Größe 你好 🙂‍🎓 a\tb\n"
    assert visible(text) == text


def test_the_oldest_exchange_goes_when_the_context_is_full(talk):
    lines, answers = ["one", "two", "six"], [[CLOSE_ID, *ids("four")]] * 3
    _, unlimited = talk(lines, *answers)
    context = len(ids(unlimited.prompts[2])) + 10
    shown, scripted = talk(lines, *answers, context=context, longest=10)
    assert scripted.prompts == unlimited.prompts and "forgotten" not in shown
    shown, scripted = talk(lines, *answers, context=context - 1, longest=10)
    assert scripted.prompts[:2] == unlimited.prompts[:2]
    assert scripted.prompts[2] == unlimited.prompts[1].replace("two", "six").replace("one", "two")
    assert "the oldest exchange is forgotten" in shown


def test_prompt_and_answer_never_exceed_the_context(talk):
    answer = [*ids("four"), CLOSE_ID, *ids("four " * 100)]
    shown, scripted = talk(["q" * n for n in range(1, 40)], *[answer] * 39, context=64)
    for prompt, limit in zip(scripted.prompts, scripted.limits):
        assert len(ids(prompt)) + limit <= 64 and limit > 0
    assert "cut off: the context of 64 is full" in shown


def test_one_message_too_long_is_refused_and_nothing_is_forgotten(talk):
    shown, scripted = talk(
        ["first", "q" * 500, "second"], [CLOSE_ID, *ids("yes")], [CLOSE_ID], context=100, longest=9
    )
    assert "the message has 504 tokens, but the model's context is 100" in shown
    assert len(scripted.prompts) == 2 and "first" in scripted.prompts[1]


def test_the_longest_answer_is_said_to_be_cut(talk):
    shown, _ = talk(["a"], ids("four " * 50), longest=5)
    assert "5 tokens" in shown and "cut off: --max-new-tokens" in shown


def test_a_pipe_gets_plain_answers_and_remarks_elsewhere(talk):
    (out, err), _ = talk(
        ["a", "", "/think off", "b"],
        [*ids("hm"), CLOSE_ID, *ids("four")],
        ids("yes"),
        at_terminal=False,
    )
    assert out == "<think>\nhm\n</think>\nfour\nyes\n"
    assert "parameters" in err and "thinking is off" in err and "\x1b" not in err


def test_a_real_model_answers_in_a_pipe_the_same_way_for_a_seed(folder, monkeypatch, capsys):
    outs = []
    for seed in (1, 1, 2):
        monkeypatch.setattr(sys, "stdin", io.StringIO("hi\n"))
        TerminalChat(folder, "\udcff", False, 1.0, 8, seed).loop()
        outs.append(capsys.readouterr().out)
    assert outs[0] == outs[1] != outs[2]


def test_a_wrong_folder_is_one_sentence(tmp_path):
    with pytest.raises(SpecialeError):
        TerminalChat(tmp_path / "nothing", "", True, 0.0, 8, 0)
    with pytest.raises(SpecialeError):
        TerminalChat(tmp_path, "", True, 0.0, 8, 0)


def test_a_tokenizer_with_more_tokens_than_the_model_is_refused(tmp_path):
    save_model(random_model(tiny_config(vocab_size=VOCAB - 1)), tmp_path)
    save_tokenizer(TOKENIZER, tmp_path)
    with pytest.raises(CheckpointError, match=f"ids up to {VOCAB - 1}, but .* is {VOCAB - 1}"):
        TerminalChat(tmp_path, "", True, 0.0, 8, 0)


def test_a_tokenizer_without_the_marks_is_refused(tmp_path):
    save_model(random_model(tiny_config(vocab_size=VOCAB)), tmp_path)
    save_tokenizer(Tokenizer(models.BPE({"a": 0}, [])), tmp_path)
    with pytest.raises(CheckpointError, match="lacks the chat format's token"):
        TerminalChat(tmp_path, "", True, 0.0, 8, 0)


def test_a_run_is_found_by_its_model_folder(folder, tmp_path, monkeypatch, capsys):
    (tmp_path / "model").symlink_to(folder)
    monkeypatch.setattr(sys, "stdin", io.StringIO("hi\n"))
    TerminalChat(tmp_path, "", False, 0.0, 4, 0).loop()
    assert f"{tmp_path.name}: " in capsys.readouterr().err


class Pty:
    """The command line on a terminal of its own."""

    def __init__(self, *arguments):
        self.seen = ""
        self.pid, self.end = pty.fork()
        if self.pid == 0:
            code = "from speciale.cli import main; main()"
            os.execv(sys.executable, [sys.executable, "-c", code, *map(str, arguments)])

    def send(self, keys):
        self.seen = ""
        os.write(self.end, keys.encode())

    def wait_for(self, pattern, repeat=""):
        """Reads until `pattern`; presses `repeat` again in every second of silence."""
        for _ in range(60):
            while select.select([self.end], [], [], 1)[0]:
                self.seen += os.read(self.end, 65536).decode(errors="replace")
                if re.search(pattern, self.seen):
                    return
            os.write(self.end, repeat.encode())
        raise AssertionError(f"no {pattern!r} in {self.seen!r}")

    def exit_code(self):
        with pytest.raises(OSError):  # the other end is closed
            while os.read(self.end, 65536):
                pass
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_ctrl_c_stops_the_answer_and_not_the_program(folder):
    screen = Pty("chat", folder, "--no-think", "--max-new-tokens", 40_000)
    try:
        screen.wait_for("> $|> \x1b.*$")
        screen.send("hello\r")
        screen.wait_for(r"hello\r\n(?s:.{20})")  # some of the answer
        screen.send("\x03")
        screen.wait_for(r"tokens/s, stopped(?s:.*)> ")
        screen.send("\x1b[A\r")  # the history has the question
        screen.wait_for(r"hello(?s:.{20})")
        screen.send("\x03")
        screen.wait_for(r"tokens/s, stopped(?s:.*)> ")
        screen.send("half a line")
        screen.wait_for("half a line")
        screen.send("\x03")
        # Python misses a signal between printing and waiting for a key, until the next one.
        screen.wait_for(r"/quit or Ctrl-D leaves(?s:.*)> ", repeat="\x03")
        screen.send("\x04")
        assert screen.exit_code() == 0
    except BaseException:
        os.kill(screen.pid, signal.SIGKILL)
        raise
