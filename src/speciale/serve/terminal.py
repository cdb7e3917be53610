"""A chat in the terminal: one conversation, encoded anew for every question (reasoning of earlier
answers is not part of the prompt), answered token by token. Format: chat/template.py.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tokenizers import Tokenizer

from speciale.chat import (
    ASSISTANT,
    BOS,
    EOS,
    THINK_CLOSE,
    THINK_OPEN,
    USER,
    Detokenizer,
    encode_ids,
)
from speciale.engine.llm import LLM
from speciale.engine.params import SamplingParams
from speciale.errors import CheckpointError
from speciale.serve.screen import Screen

_COMMANDS = "/think on|off /system TEXT /new /help /quit"
_HELP = """\
/think on|off   think before answering; now {think}
/system TEXT    set the system prompt; /system shows it, /system "" removes it
/new            forget the conversation
/quit           leave, as Ctrl-D does
Ctrl-C stops an answer. A line that starts with a space is sent even if it looks like a command."""


class TerminalChat:
    def __init__(
        self,
        folder: str | Path,
        system: str,
        think: bool,
        temperature: float,
        max_new_tokens: int,
        seed: int,
    ) -> None:
        """Loads an HF-layout folder or a run. SpecialeError where it holds no model that fits its
        tokenizer. `temperature` 0 is greedy; `seed` decides every draw of the session."""
        self._llm = _load(Path(folder))
        self._tokenizer = self._llm.tokenizer
        self._name = Path(folder).resolve().name
        self._context = self._llm.core.context
        self._system, self._think = system, think
        self._temperature, self._max_new_tokens = temperature, max_new_tokens
        self._seed = seed
        self._exchanges: list[list[dict]] = []  # [user message, assistant message], oldest first
        self._screen = Screen()

    def loop(self) -> None:
        """Answers until the input ends. Ctrl-C ends the program only where nobody can be asked."""
        screen = self._screen
        if screen.interactive:
            with suppress(ImportError):  # a Python without it still reads lines
                import readline  # noqa: F401  (its import gives input() editing and history)
        size = sum(p.numel() for p in self._llm.core.model.parameters())
        screen.remark(
            f"{self._name}: {_short(size)} parameters, context {self._context}. {_COMMANDS}"
        )
        while True:
            try:
                self._take(screen.ask())
            except KeyboardInterrupt:
                if not screen.interactive:
                    raise
                screen.remark("Ctrl-C stops an answer; /quit or Ctrl-D leaves")
            except EOFError:
                screen.start_line()
                return
            except BrokenPipeError:  # who read our output has gone, as `| head` does
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                return

    def _take(self, line: str) -> None:
        """Does what one line of input asks for; EOFError to leave."""
        if not line.strip():
            return
        if not line.startswith("/"):
            self._answer(line.strip())
            return
        command, *rest = line.strip().split(maxsplit=1)
        match command, "".join(rest):
            case "/quit", "":
                raise EOFError
            case "/help", "":
                self._screen.remark(_HELP.format(think=self._thinking_state()))
            case "/new", "":
                self._exchanges.clear()
                self._screen.remark("the conversation is forgotten")
            case "/think", ("" | "on" | "off") as state:
                if state:
                    self._think = state == "on"
                self._screen.remark(f"thinking is {self._thinking_state()}")
            case "/system", text:
                if text:
                    self._system = "" if text == '""' else text
                shown = f"system prompt: {self._system}" if self._system else "no system prompt"
                self._screen.remark(shown)
            case "/think", state:
                self._screen.remark(f"/think {state} is not known: /think on or /think off")
            case (("/quit" | "/help" | "/new"), _):
                self._screen.remark(f"{command} takes nothing after it")
            case _:
                self._screen.remark(
                    f"{command} is not a command ({_COMMANDS}): "
                    "begin the line with a space to send it as a message"
                )

    def _thinking_state(self) -> str:
        return "on" if self._think else "off"

    def _answer(self, question: str) -> None:
        prompt = self._prompt(question)
        if prompt is None:
            return
        limit = min(self._max_new_tokens, self._context - len(prompt))
        reply = _Reply(self._screen, self._tokenizer, self._think)
        self._seed += 1  # the next answer has its own draws
        params = SamplingParams(max_tokens=limit, temperature=self._temperature, seed=self._seed)
        ending = ""
        try:
            for token in stream(self._llm, prompt, params):
                reply.add(token)
            if reply.count == limit:
                full = limit < self._max_new_tokens
                cause = f"the context of {self._context} is full" if full else "--max-new-tokens"
                ending = f", cut off: {cause}"
        except KeyboardInterrupt:
            if not self._screen.interactive:
                raise
            ending = ", stopped"
        # Without content, as after a stop while thinking, the exchange stays an empty answer: the
        # format allows it in front of a question, and every later prompt ends in one.
        said = {"role": "assistant", "content": reply.content, "reasoning_content": reply.reasoning}
        self._exchanges.append([{"role": "user", "content": question}, said])
        self._screen.start_line()
        self._screen.remark(reply.figures() + ending)
        if self._screen.interactive:
            self._screen.write("\n")

    def _prompt(self, question: str) -> list[int] | None:
        """The ids of the conversation with `question`; None, said on the screen, if too long.

        Forgets the oldest exchanges until there is room for the longest answer, or where that is
        most of the context, until half of it is free.
        """
        room = min(self._max_new_tokens, self._context // 2)
        for dropped in range(len(self._exchanges) + 1):
            ids = self._encode(self._exchanges[dropped:], question)
            if len(ids) + room <= self._context:
                break
        if len(ids) >= self._context:
            what = "the message and the system prompt have" if self._system else "the message has"
            self._screen.remark(
                f"{what} {len(ids)} tokens, but the model's context is {self._context} "
                "with its answer: send less"
            )
            return None
        if dropped:
            del self._exchanges[:dropped]
            oldest = "oldest exchange is" if dropped == 1 else f"{dropped} oldest exchanges are"
            self._screen.remark(f"the {oldest} forgotten: the context of {self._context} is full")
        return ids

    def _encode(self, exchanges: list[list[dict]], question: str) -> list[int]:
        messages = [{"role": "system", "content": self._system}] if self._system else []
        messages += [message for exchange in exchanges for message in exchange]
        messages.append({"role": "user", "content": question})
        return encode_ids(self._tokenizer, messages, "thinking" if self._think else "chat")


class _Reply:
    """An answer while it arrives: decoded, split where thinking ends, and shown."""

    def __init__(self, screen: Screen, tokenizer: Tokenizer, think: bool) -> None:
        self.reasoning, self.content, self.count = "", "", 0
        self._screen, self._thinking = screen, think
        self._close = tokenizer.token_to_id(THINK_CLOSE)
        self._detokenizer = Detokenizer(tokenizer)
        self._first = self._last = 0.0
        if think and not screen.interactive:
            screen.write(f"{THINK_OPEN}\n")  # nothing is dim there: the marks tell it apart

    def add(self, token: int) -> None:
        self._last = time.perf_counter()
        self._first = self._first or self._last
        self.count += 1
        if self._thinking and token == self._close:
            self._end_thinking()
            return
        new = self._detokenizer.feed([token])
        if self._thinking:
            self.reasoning += new
        else:
            self.content += new
        self._screen.write(new, dim=self._thinking)

    def _end_thinking(self) -> None:
        self._detokenizer.finish()  # half a character is not shown
        self._thinking = False
        self._screen.start_line()
        if not self._screen.interactive:
            self._screen.write(f"{THINK_CLOSE}\n")
        elif self.reasoning:
            self._screen.write("\n")

    def figures(self) -> str:
        """Such as `12 tokens, 80 tokens/s`; the speed is of the tokens behind the first."""
        tokens = f"{self.count} token{'s' * (self.count != 1)}"
        if self.count < 2:
            return tokens
        speed = (self.count - 1) / max(self._last - self._first, 1e-9)
        return f"{tokens}, {speed:.{0 if speed >= 10 else 1}f} tokens/s"


def stream(llm: LLM, prompt: list[int], params: SamplingParams) -> Iterator[int]:
    """The ids of an answer one by one, without the end of the turn."""
    end = llm.tokenizer.token_to_id(EOS)
    for update in llm.stream(prompt, params):
        if update.completion is not None and update.completion.error:
            raise CheckpointError(update.completion.error)
        yield from (token for token in update.ids if token != end)


def _load(folder: Path) -> LLM:
    llm = LLM(folder)
    path = folder / "tokenizer.json"
    if llm.tokenizer is None:
        raise CheckpointError(f"There is no tokenizer at {path}: give the folder of a run")
    for mark in (BOS, EOS, USER, ASSISTANT, THINK_OPEN, THINK_CLOSE):
        if llm.tokenizer.token_to_id(mark) is None:
            raise CheckpointError(
                f"{path} lacks the chat format's token {mark}: copy model and tokenizer again from "
                "one place"
            )
    return llm


def _short(count: int) -> str:
    """Such as 890K, 12.3M, 671B."""
    for unit, size in (("B", 1e9), ("M", 1e6), ("K", 1e3)):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return str(count)
