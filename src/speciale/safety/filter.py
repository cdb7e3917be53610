"""The content filter: every check that a policy asks for, over prompts and completions.

Checks run in two threads so that the event loop goes on, and texts seen before cost a look-up:
a chat resends its history with every request.
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import logging
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

from speciale.safety.blocklists import Blocklists, Match
from speciale.safety.decodings import unescape_json
from speciale.safety.policy import AzureService, GuardService, Policy
from speciale.safety.protected import ProtectedIndex, open_protected
from speciale.safety.verdict import (
    CATEGORIES,
    Attacks,
    Direction,
    Results,
    Verdict,
    detection_entry,
    error_entry,
    merge,
    severity_entry,
)

Channel = Literal["content", "reasoning", "arguments"]

CACHED = 4096  # texts whose findings are kept: a few MB
THREADS = 2

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PromptPart:
    """One message's text. Tool results and attached files are documents."""

    text: str
    kind: Literal["user", "system", "assistant", "document"] = "user"


class ContentFilter:
    """`classifiers` has `score(texts, attacks) -> list[Scores]`, plain or async; None takes those
    that the policy names. Building raises ConfigError for what the policy names in vain."""

    def __init__(self, policy: Policy, classifiers: Any = None) -> None:
        self.policy = policy
        self.blocklists = Blocklists(policy.blocklists if policy.enabled else ())
        on = policy.enabled and policy.protected_material != "off"
        self._protected: ProtectedIndex | None = (
            open_protected(policy.protected) if on and policy.protected else None
        )
        self._classifiers = classifiers if policy.enabled else None
        if classifiers is None and policy.enabled:
            self._classifiers = _classifiers(policy)
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="classifiers")
        # Of their own, so that a classifier that hangs does not hang these as well.
        self._lookups = ThreadPoolExecutor(1, thread_name_prefix="block-lists")
        self._cache: OrderedDict[bytes, Any] = OrderedDict()

    @property
    def active(self) -> bool:
        """Whether there is anything to check."""
        return bool(self._classifiers or self.blocklists or self._protected)

    async def close(self) -> None:
        """Ends the threads, and the connections of a service."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._lookups.shutdown(wait=False, cancel_futures=True)
        if close := getattr(self._classifiers, "close", None):
            await close()

    async def check_prompt(self, parts: Sequence[PromptPart]) -> Verdict:
        """The verdict on all parts together."""
        if not self.active or not any(part.text for part in parts):
            return Verdict()
        parts = [part for part in dict.fromkeys(parts) if part.text]
        kinds = {"user": "prompt", "document": "document"}
        texts = [(part.text, kinds.get(part.kind)) for part in parts]
        return merge(await self._check(texts, "prompt"))

    async def check_completion(self, text: str, channel: Channel = "content") -> Verdict:
        """The verdict on what a model wrote; `arguments` are JSON text, also a part of it."""
        if not self.active or not text:
            return Verdict()
        if channel == "arguments":
            text = unescape_json(text)
        return (await self._check([(text, None)], "completion"))[0]

    def hold(self, text: str) -> tuple[int, int]:
        """How much of a completion that grows may go, and be checked; see Blocklists.hold."""
        return self.blocklists.hold(text)

    async def scores(self, text: str) -> dict[str, int]:
        """Severity by category, without thresholds; none where there are no classifiers.

        Raises what the classifiers raise, and TimeoutError.
        """
        if self._classifiers is None:
            return {}
        async with asyncio.timeout(self.policy.timeout_s):
            return (await self._score([(text, None)]))[0].severity

    async def matches(self, text: str) -> list[Match]:
        """The block lists' items in a text."""
        return await self._cached("b", text, self.blocklists.find)

    async def _check(self, texts: list[tuple[str, Attacks]], direction: Direction) -> list[Verdict]:
        scores: Sequence[Any] = [None] * len(texts)
        failure = None
        # A context of 128K tokens is half a megabyte, read for the first time.
        patience_s = self.policy.timeout_s * max(1.0, sum(len(text) for text, _ in texts) / 10_000)
        if self._classifiers is not None:
            try:
                async with asyncio.timeout(patience_s):
                    scores = await self._score(texts)
            except Exception as error:  # a classifier may fail in any way: the filter's own case
                failure = _failure(error, patience_s)
                log.error("content filter: the classifiers failed: %r", error)
        verdicts = []
        for (text, attacks), score in zip(texts, scores):
            verdict = Verdict()
            if score is not None:
                verdict.entries |= self._classified(score, direction, attacks)
            try:
                async with asyncio.timeout(patience_s):
                    verdict.entries |= await self._found(text, direction)
            except Exception as error:
                failure = _failure(error, patience_s)
                log.exception("content filter: block lists or protected texts failed")
            closed = self.policy.fail == "closed" and not self.policy.annotate_only
            if failure:
                verdict.error = failure
                verdict.entries["content_filter_error"] = error_entry(failure)
            verdict.filtered = bool(failure and closed) or any(
                entry.get("filtered") for entry in verdict.entries.values()
            )
            verdicts.append(verdict)
        return verdicts

    def _classified(self, score: Any, direction: Direction, attacks: Attacks) -> Results:
        policy = self.policy
        only = policy.annotate_only
        thresholds = policy.prompt if direction == "prompt" else policy.completion
        results = {
            name: severity_entry(score.severity[name], getattr(thresholds, name), only)
            for name in CATEGORIES
        }
        if policy.profanity != "off":
            results["profanity"] = detection_entry(score.profanity, policy.profanity, only)
        if direction == "prompt":
            # Both stand in the results of every prompt; only their own kind of text can set them.
            if policy.jailbreak != "off":
                found = score.jailbreak and attacks == "prompt"
                results["jailbreak"] = detection_entry(found, policy.jailbreak, only)
            if policy.indirect_attack != "off":
                found = score.indirect_attack and attacks == "document"
                results["indirect_attack"] = detection_entry(found, policy.indirect_attack, only)
        return results

    async def _found(self, text: str, direction: Direction) -> Results:
        """What block lists and protected texts say."""
        policy, results = self.policy, {}
        if self.blocklists:
            hit = {match.item.list for match in await self.matches(text)}
            filtered = not policy.annotate_only
            details = [
                {"id": name, "filtered": filtered} for name in self.blocklists.names if name in hit
            ]
            results["custom_blocklists"] = {"filtered": bool(hit) and filtered, "details": details}
        if self._protected is not None and direction == "completion":
            found = await self._cached("p", text, self._protected.find)
            for kind in ("text", "code"):
                match = next((match for match in found if match.kind == kind), None)
                entry = detection_entry(
                    match is not None, policy.protected_material, policy.annotate_only
                )
                if match and kind == "code":
                    entry["citation"] = {"URL": match.source, "license": "NOASSERTION"}
                results[f"protected_material_{kind}"] = entry
        return results

    async def _score(self, texts: list[tuple[str, Attacks]]) -> list[Any]:
        """Scores in order; only texts not seen before are classified, one batch for each kind."""
        keys = [_key(f"s{attacks}", text) for text, attacks in texts]
        scores = [self._recall(key) for key in keys]
        for kind in ("prompt", "document", None):
            new = [i for i, (_, attacks) in enumerate(texts) if attacks == kind and not scores[i]]
            if not new:
                continue
            batch = [texts[i][0] for i in new]
            score = self._classifiers.score
            if inspect.iscoroutinefunction(score):
                fresh = await score(batch, kind)
            else:
                loop = asyncio.get_running_loop()
                fresh = await loop.run_in_executor(self._pool, score, batch, kind)
            for i, one in zip(new, fresh, strict=True):
                scores[i] = one
                self._remember(keys[i], one)
        return scores

    async def _cached(self, kind: str, text: str, find: Any) -> Any:
        key = _key(kind, text)
        if (found := self._recall(key)) is None:
            loop = asyncio.get_running_loop()
            found = await loop.run_in_executor(self._lookups, find, text)
            self._remember(key, found)
        return found

    def _recall(self, key: bytes) -> Any:
        if key in self._cache:
            self._cache.move_to_end(key)
        return self._cache.get(key)

    def _remember(self, key: bytes, found: Any) -> None:
        self._cache[key] = found
        if len(self._cache) > CACHED:
            self._cache.popitem(last=False)


def _key(kind: str, text: str) -> bytes:
    data = text.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(data, digest_size=16, person=kind.encode()).digest()


def _failure(error: Exception, timeout_s: float) -> str:
    """For clients: no more than the kind of failure; the rest is for the log."""
    if isinstance(error, TimeoutError):
        return f"The content filter took longer than {timeout_s:g} s."
    return "The content filter is out of order."


def _classifiers(policy: Policy) -> Any:
    match policy.classifier:
        case "none":
            return None
        case "embedded":
            from speciale.safety.classifiers import EmbeddedClassifiers

            return EmbeddedClassifiers()
        case AzureService() as service:
            from speciale.safety.azure import AzureClassifiers

            return AzureClassifiers(service, policy.timeout_s)
        case GuardService() as service:
            from speciale.safety.guard import GuardClassifiers

            return GuardClassifiers(service, policy.timeout_s)
