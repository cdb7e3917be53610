"""A `Sampler` without a model: a policy function writes what the model would have written.

For tests, benchmarks and synthesis: all else (prompts, ids, parsing, tools) is the real path.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from inspect import isawaitable
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from speciale.agents.sampler import OnIds, Sample
from speciale.chat import SPECIAL_TOKENS, THINK_OPEN
from speciale.chat.ids import mark_id, parts_to_ids
from speciale.chat.template import render
from speciale.engine.params import SamplingParams

Message = dict[str, Any]
# The text of the prompt -> what to say: an assistant message in OpenAI's form, or raw text with
# the format's marks in it (where the format itself is to be broken).
Policy = Callable[[str], Message | str | Awaitable[Message | str]]


class ScriptedSampler:
    """Answers by `policy`, one conversation at a time if the policy remembers things."""

    def __init__(
        self, policy: Policy, tokenizer: Tokenizer | None = None, window: int = 128_000
    ) -> None:
        self.policy, self.window = policy, window
        self.tokenizer = tokenizer or byte_tokenizer()
        self._think_open = mark_id(self.tokenizer, THINK_OPEN)

    async def sample(
        self,
        prompt: Sequence[int],
        params: SamplingParams,
        tools: Sequence[Mapping[str, Any]] = (),
        on_ids: OnIds | None = None,
    ) -> Sample:
        """Of `params` max_tokens alone counts. The policy is certain: log-probs are 0."""
        said = self.policy(self.tokenizer.decode(list(prompt), skip_special_tokens=False))
        said = await said if isawaitable(said) else said
        thinking = prompt[-1] == self._think_open
        if isinstance(said, str):
            ids = parts_to_ids(self.tokenizer, [said], marks_in_text=True)
        else:
            ids = completion_ids(self.tokenizer, said, thinking)
        room = self.window - len(prompt)
        limit = min(room, params.max_tokens or room)
        finish = "stop" if len(ids) <= limit else "length"
        ids = ids[: max(limit, 0)]
        if on_ids is not None and ids:
            on_ids(ids)
        return Sample(ids, [0.0] * len(ids), finish)


def replay(said: Iterable[Message | str]) -> Policy:
    """A policy that says these one after the other, whatever it is shown."""
    left: Iterator[Message | str] = iter(said)

    def policy(_prompt: str) -> Message | str:
        try:
            return next(left)
        except StopIteration:
            return {"role": "assistant", "content": "I have nothing more to say."}

    return policy


def completion_ids(tokenizer: Tokenizer, message: Message, thinking: bool) -> list[int]:
    """The ids that a model writes for an assistant message, the end mark last."""
    message = {"role": "assistant", "content": "", **message}
    if not thinking:
        message.pop("reasoning_content", None)
    parts = render(
        [message],
        "thinking" if thinking else "chat",
        [{"role": "user", "content": ""}],
        drop_thinking=False,
        require_reasoning=False,
    )
    return parts_to_ids(tokenizer, parts)


def byte_tokenizer() -> Tokenizer:
    """A token a byte, and the format's marks: every text goes through it unchanged."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {mark: place for place, mark in enumerate(SPECIAL_TOKENS)}
    vocabulary |= {letter: len(vocabulary) + n for n, letter in enumerate(alphabet)}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [AddedToken(mark, normalized=False, special=True) for mark in SPECIAL_TOKENS]
    )
    return tokenizer
