"""Nothing leaves the gate unvetted, what is harmless does in order, and no task stays behind."""

import asyncio
import base64
import itertools
import json
import random

import pytest
from classifier_doubles import Keywords, Patient
from disguises import READ, SAME

from speciale.safety.filter import ContentFilter
from speciale.safety.gate import Annotated, Blocked, Held, Passed, vet
from speciale.safety.policy import read_policy

PHRASES = {"blocklists": [{"name": "mine", "phrases": ["bomb", "kill all humans"]}]}
ASYNCHRONOUS = {**PHRASES, "streaming": "asynchronous"}


class Source:
    """An async iterator over Held items that knows how far it was read and whether it is closed."""

    def __init__(self, helds, error=None, then=None):
        self.helds, self.error, self.then = list(helds), error, then
        self.read, self.closed = 0, 0

    def __aiter__(self):
        return self

    async def __anext__(self):
        await asyncio.sleep(0)
        if self.read < len(self.helds):
            self.read += 1
            return self.helds[self.read - 1]
        if self.then:
            await self.then.wait()
        if self.error:
            raise self.error
        raise StopAsyncIteration

    async def aclose(self):
        self.closed += 1


def helds(pieces, channel="content", choice=0):
    """One Held a piece, its item the piece itself; then the finish."""
    yield from (Held(choice, channel, piece, piece) for piece in pieces)
    yield Held(choice, "none", "", "finish", last=True)


def run(source, policy=PHRASES, classifiers=None, choices=1):
    """All events of a gate; fails if it leaves a task behind."""

    async def collect():
        content_filter = ContentFilter(read_policy(policy), classifiers or Keywords())
        before = asyncio.all_tasks()
        try:
            return [event async for event in vet(source, content_filter, choices)]
        finally:
            assert asyncio.all_tasks() == before
            await content_filter.close()

    return asyncio.run(collect())


def out(events, choice=0):
    """What left the gate for a choice."""
    return [
        item
        for event in events
        if isinstance(event, Passed) and event.choice == choice
        for item in event.items
    ]


def blocked(events):
    return {event.choice for event in events if isinstance(event, Blocked)}


PROSE = (
    "The heron stood in the water. It waited, as herons do, for a fish to come by! Would one? "
    "Bombay has many; a bombastic heron is rare. They kill all the fish. \n\n- b\n- o\n 1 2 3 4 "
) * 6


@pytest.mark.parametrize("size", [1, 3, 7, 50, 5000])
@pytest.mark.parametrize("policy", [PHRASES, ASYNCHRONOUS, {}, {"enabled": False}])
def test_harmless_text_comes_out_whole_and_in_order(size, policy):
    pieces = [PROSE[i : i + size] for i in range(0, len(PROSE), size)]
    source = Source(helds(pieces))
    events = run(source, policy)
    assert out(events) == [*pieces, "finish"]
    assert not blocked(events) and source.closed


DISGUISED = {
    **SAME,
    **READ,
    "phrase": "kill all humans",
    "spelled phrase": "k i l l  a l l  h.u.m.a.n.s",
    "base64 phrase": base64.b64encode(b"please kill all humans now").decode(),
}


@pytest.mark.parametrize("channel", ["content", "reasoning", "arguments"])
@pytest.mark.parametrize("kind", DISGUISED)
def test_no_letter_of_a_phrase_leaves_wherever_the_stream_is_split(kind, channel):
    before, text = "Here it is, as you wished: ", DISGUISED[kind]
    whole = before + text + " and that was it."
    # A letter each, and every split into two: a source that pauses makes each part a buffer.
    splits = [list(whole)] + [[whole[:i], whole[i:]] for i in range(len(before), len(whole), 3)]

    async def attempt(content_filter, pieces):
        async def slowly():
            for held in helds(pieces, channel):
                yield held
                if held.text and len(pieces) == 2:
                    await asyncio.sleep(0.06)  # past IDLE: a check begins

        return [event async for event in vet(slowly(), content_filter)]

    async def attempts():
        policy = read_policy({**PHRASES, "classifier": "none"})
        content_filter = ContentFilter(policy)
        results = await asyncio.gather(*(attempt(content_filter, pieces) for pieces in splits))
        await content_filter.close()
        return results

    for pieces, events in zip(splits, asyncio.run(attempts())):
        assert blocked(events) == {0}, pieces
        left = "".join(out(events))
        assert "finish" not in left and before.startswith(left), (pieces, left)
        assert events[-1].verdict.results()["custom_blocklists"]["filtered"]


def test_tool_arguments_are_read_with_their_escapes():
    escaped = "".join(f"\\u{ord(c):04x}" for c in "a bomb")
    arguments = json.dumps({"subject": "recipe", "n": 3})[:-1] + f', "q": "{escaped}"}}'
    for size in (1, 4, 9):
        pieces = [arguments[i : i + size] for i in range(0, len(arguments), size)]
        assert blocked(run(Source(helds(pieces, "arguments")))) == {0}
    # Not only block lists: classifiers see what the escapes say.
    stab = '{"q": "\\u0073tab"}'
    assert blocked(run(Source(helds(list(stab), "arguments")), {})) == {0}


def test_a_classifier_sees_the_end_of_what_was_released():
    keywords = Keywords()
    text = "one two three four five six seven eight nine ten. " * 4
    run(Source(helds(text.split(" "))), {}, keywords)
    pieces = [text[:100], text[100:]]

    async def slowly():
        for held in helds(pieces):
            yield held
            await asyncio.sleep(0.06)

    keywords.seen.clear()
    run(slowly(), {}, keywords)
    texts = [seen for seen, _ in keywords.seen]
    assert len(texts) >= 2
    assert all(b.startswith(a[: len(a) // 2]) for a, b in itertools.pairwise(texts))


def test_offending_text_is_kept_back_and_the_choice_ends():
    calm = "A calm sentence comes first, with nothing wrong in it at all. "
    pieces = [calm] * 3 + ["Then ", "they ", "stab ", "each other. "] + [calm] * 3
    events = run(Source(helds(pieces)), {})
    last = events[-1]
    assert isinstance(last, Blocked) and last.verdict.results()["violence"]["filtered"]
    assert "stab" not in "".join(out(events)) and "finish" not in out(events)
    assert last.offsets["check_offset"] <= 3 * len(calm) + len("Then they ")
    assert last.offsets["end_offset"] > last.offsets["check_offset"]


def test_channels_and_other_items_keep_their_order():
    stream = [
        Held(0, "none", "", "role"),
        Held(0, "reasoning", "First I think", "r1"),
        Held(0, "none", "", "logprobs"),
        Held(0, "reasoning", " a little", "r2"),
        Held(0, "content", "Then I say", "c1"),
        Held(0, "none", "", "call start"),
        Held(0, "arguments", '{"a": 1', "a1"),
        Held(0, "arguments", "}", "a2"),
        Held(0, "none", "", "call end"),
        Held(0, "none", "", "finish", last=True),
        Held(0, "none", "", "usage"),
    ]
    assert out(run(Source(stream))) == [held.item for held in stream]


def test_choices_are_apart_and_the_rest_goes_on():
    calm = [f"calm {i} words. " for i in range(20)]
    bad = [*calm[:5], "a bomb here. ", *calm]
    streams = [list(helds(calm, choice=0)), list(helds(bad, choice=1)), list(helds(calm, choice=2))]
    mixed = [held for group in itertools.zip_longest(*streams) for held in group if held]
    source = Source(mixed)
    events = run(source, choices=3)
    assert blocked(events) == {1}
    assert out(events, 0) == out(events, 2) == [*calm, "finish"]
    assert out(events, 1) == bad[: len(out(events, 1))] and len(out(events, 1)) <= 5
    assert source.read == len(mixed)


@pytest.mark.parametrize("policy", [PHRASES, ASYNCHRONOUS])
def test_the_source_is_closed_once_all_choices_are_blocked(policy):
    async def endless():
        nonlocal closed
        try:
            for i in itertools.count():
                yield Held(i % 2, "content", "a bomb. ", i)
                await asyncio.sleep(0)
        finally:
            closed = True

    closed = False
    events = run(endless(), policy, choices=2)
    assert closed and blocked(events) == {0, 1}


def test_the_source_never_waits_for_a_check():
    async def check():
        patient = Patient()
        content_filter = ContentFilter(read_policy({}), patient)
        source = Source(helds([f"word {i}. " for i in range(500)]))
        events = []

        async def consume():
            async for event in vet(source, content_filter):
                events.append(event)

        consumer = asyncio.create_task(consume())
        while source.read < 501:
            await asyncio.sleep(0)
        assert patient.waiting <= 1 and not events
        patient.go.set()
        await consumer
        await content_filter.close()
        return events, patient.waiting

    events, checks = asyncio.run(check())
    assert len(out(events)) == 501
    assert checks < 10  # what came meanwhile went in one buffer


def test_asynchronous_items_pass_at_once_and_annotations_follow():
    async def check():
        patient = Patient()
        content_filter = ContentFilter(read_policy({"streaming": "asynchronous"}), patient)
        pieces = ["A calm start. ", "More of it. ", "They stab. ", "Then it ends. "]
        gate = vet(Source(helds(pieces)), content_filter)
        first = [await anext(gate) for _ in range(5)]
        patient.go.set()
        return first, [event async for event in gate]

    first, rest = asyncio.run(check())
    assert [item for event in first for item in event.items][-1] == "finish"
    assert isinstance(rest[-1], Blocked)
    assert rest[-1].offsets["end_offset"] >= len("A calm start. More of it. They stab. ")


def test_asynchronous_offsets_cover_the_text_without_gaps():
    pieces = [f"Calm sentence number {i}. " for i in range(100)]
    events = run(Source(helds(pieces)), ASYNCHRONOUS)
    annotations = [event for event in events if isinstance(event, Annotated)]
    assert annotations
    checked = 0
    for event in annotations:
        assert event.offsets["start_offset"] <= checked < event.offsets["check_offset"]
        assert event.results["hate"] == {"filtered": False, "severity": "safe"}
        checked = event.offsets["check_offset"]
    assert checked == len("".join(pieces))


@pytest.mark.parametrize("fail", ["closed", "open"])
def test_a_filter_out_of_order_blocks_or_says_so(fail):
    broken = Keywords(error=RuntimeError("broken"))
    events = run(Source(helds(["Some text. "] * 5)), {"fail": fail}, broken)
    if fail == "closed":
        assert blocked(events) == {0} and not out(events)
        assert events[-1].verdict.error
    else:
        assert len(out(events)) == 6
        results = next(event.results for event in events if event.results)
        assert results["content_filter_error"]["code"] == "content_filter_error"


def test_what_the_source_raises_comes_after_what_was_vetted():
    source = Source([Held(0, "content", "Some text", "a")], error=ConnectionError("gone"))
    events = []

    async def collect():
        content_filter = ContentFilter(read_policy({}), Keywords())
        async for event in vet(source, content_filter):
            events.append(event)

    with pytest.raises(ConnectionError, match="gone"):
        asyncio.run(collect())
    assert out(events) == ["a"] and source.closed


@pytest.mark.parametrize("policy", [PHRASES, ASYNCHRONOUS, {"enabled": False}])
@pytest.mark.parametrize("when", [0, 1, 5, 20, 60])
@pytest.mark.parametrize("how", ["close", "cancel"])
def test_ending_at_any_time_leaves_no_task_and_closes_the_source(policy, when, how):
    async def check():
        content_filter = ContentFilter(read_policy(policy), Keywords(delay=0.002))
        source = Source(helds(["Text goes on. "] * 30), then=asyncio.Event())
        gate = vet(source, content_filter)
        before = asyncio.all_tasks()

        async def consume():
            async for _ in gate:
                pass

        if how == "cancel":
            task = asyncio.create_task(consume())
            for _ in range(when):
                await asyncio.sleep(0.0005)
            started = when > 0
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        else:
            started = when > 0
            for _ in range(min(when, 2)):
                await anext(gate)
        await gate.aclose()
        left = asyncio.all_tasks() - before
        await content_filter.close()
        return left, source.closed or not started

    left, closed = asyncio.run(check())
    assert not left and closed


def test_random_streams_keep_both_laws():
    """What leaves is a beginning of what came without a phrase; harmless streams leave whole."""
    rng = random.Random(5)
    words = [
        "heron ",
        "bomb ",
        "Bombay ",
        "b o m b ",
        "Ym9tYg== ",
        "fish.\n",
        "kill all ",
        "62 6f ",
    ]
    safe = [word for word in words if word not in ("bomb ", "b o m b ", "Ym9tYg== ")]
    for _ in range(60):
        pool = rng.choice([words, safe])
        text = "".join(rng.choices(pool, k=rng.randint(1, 40)))
        cuts = sorted(rng.choices(range(len(text) + 1), k=rng.randint(0, 30)))
        pieces = [text[a:b] for a, b in itertools.pairwise([0, *cuts, len(text)])]
        events = run(Source(helds(pieces)))
        left = [item for item in out(events) if item != "finish"]
        assert "".join(left) == text[: len("".join(left))]
        if blocked(events):
            assert any(word in text for word in ("bomb ", "b o m b ", "Ym9tYg"))
            assert not any(word.strip() in "".join(left) for word in ("bomb ", "b o m b", "Ym9tYg"))
        else:
            assert left == pieces
