"""ChatUpstream against real servers that fail: nothing hangs, nothing is told twice."""

import asyncio
import logging

import pytest
from upstream_run import IMPATIENT, KEY, finishes, message, run
from upstream_servers import (
    DONE,
    GOOD,
    HEAD,
    chat_chunk,
    chat_job,
    event,
    says,
    serving,
    silent,
    stalls,
    streams,
)

from speciale.serve.backends.chat_upstream import ChatUpstream
from speciale.serve.backends.connection import BusyError, Timeouts
from speciale.serve.backends.seam import BackendError

NOT_A_NUMBER = (
    b'data: {"choices": [{"index": 0, "delta": {"content": "x"}, '
    b'"logprobs": {"content": [{"token": "x", "logprob": NaN}]}}]}\n\n'
)

# ---- what goes wrong ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "status", "retriable"),
    [
        (says(400, {"error": {"message": f"top_p is 3 ({KEY})"}}), 400, False),
        (says(422, {"detail": [{"msg": "bad"}]}), 400, False),
        (streams(event({"error": {"message": "too long", "code": 400}})), 400, False),
        (says(401, {"error": {"message": f"bad key {KEY}"}}), 503, True),
        (says(403, {}), 503, True),
        (says(404, {"error": "no such model"}), 503, True),
        (says(500, b"<html>"), 503, True),
        (says(200, {"choices": []}), 503, True),
        (streams(), 503, True),
        (streams(chat_chunk(role="assistant")), 503, True),
        (streams(event({"error": {"message": "out of memory", "code": 500}})), 503, True),
        (streams(b"data: {nonsense\n\n"), 503, True),
        (streams(b'data: {"choices": 3}\n\n'), 503, True),
        (streams(b'data: {"choices": [{"delta": {"content": "\\ud800"}}]}\n\n'), 503, True),
        (streams(b'data: {"choices": [' + b"[" * 5000 + b"\n\n"), 503, True),
        (streams(b"data: \xff\xfe\n\n"), 503, True),
        (streams(chat_chunk("x", index=5), "a", chat_chunk(finish="stop"), DONE), 503, True),
        (streams(NOT_A_NUMBER, chat_chunk(finish="stop"), DONE), 503, True),
        (streams(b"data: " + b"x" * (5 * 2**20)), 503, True),
        (streams(b"data: x\n" * 2**20), 503, True),
    ],
)
def test_failures_before_the_first_piece(script, status, retriable, caplog):
    caplog.set_level(logging.INFO)
    with pytest.raises(BackendError) as caught:
        run(script)
    assert (caught.value.status, caught.value.retriable) == (status, retriable)
    assert KEY not in str(caught.value) and KEY not in caplog.text
    if status == 503:
        assert caplog.records, "the operator hears of it"
        assert "127.0.0.1" not in str(caught.value)


@pytest.mark.parametrize("script", [silent, stalls(), stalls(chat_chunk(role="assistant"))])
def test_no_first_piece_in_time(script, caplog):
    with pytest.raises(BackendError) as caught:
        run(script, timeouts=IMPATIENT)
    assert caught.value.retriable and "0.3 seconds" in caplog.text


def test_a_refusal_has_the_upstreams_words_and_a_bad_key_is_the_operators_matter(caplog):
    with pytest.raises(BackendError, match=r"top_p is 3 \(\[key\]\)"):
        run(says(400, {"error": {"message": f"top_p is 3 ({KEY})"}}))
    with pytest.raises(BackendError, match="cannot be reached"):
        run(says(401, {"error": {"message": "Incorrect API key"}}))
    assert "check its api_key" in caplog.text


@pytest.mark.parametrize("status", [302, 307])
def test_redirects_are_not_followed(status):
    async def main():
        where = []

        async def moves(upstream, body, write):
            await says(status, {}, [f"location: {where[0]}"])(upstream, body, write)

        async with serving(moves, GOOD) as [server, other]:
            where.append(f"{other.url}/v1/chat/completions")
            upstream = ChatUpstream(server.url, KEY, model="m")
            with pytest.raises(BackendError):
                [piece async for piece in upstream.run(chat_job())]
            await upstream.close()
            assert len(server.bodies) == 1 and not other.tasks

    asyncio.run(main())


def test_too_many_requests():
    with pytest.raises(BusyError) as caught:
        run(says(429, {}, ["retry-after: 7"]))
    assert (caught.value.status, caught.value.rest_s) == (429, 7)
    with pytest.raises(BusyError) as caught:
        run(says(429, {}, ["retry-after: nan"]))
    assert caught.value.rest_s == 1


def test_nobody_listens():
    async def main():
        upstream = ChatUpstream("http://127.0.0.1:1", model="m")
        try:
            with pytest.raises(BackendError) as caught:
                [piece async for piece in upstream.run(chat_job())]
            assert caught.value.retriable
            assert "cannot be reached" in await upstream.ready()
        finally:
            await upstream.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    "script",
    [
        streams("Half"),
        stalls("Half"),
        streams("Half", b"data: {nonsense\n\n"),
        streams("Half", event({"error": {"message": "preempted", "code": 500}})),
        streams("Half", b"data: \xff\n\n"),
        streams("Half", chat_chunk("y", index=9)),
        streams("Half", chat_chunk(finish="abort"), DONE),
    ],
)
def test_a_failure_after_the_first_piece_ends_the_answer(script):
    pieces, _ = run(script, timeouts=Timeouts(stall=0.3))
    assert message(pieces)["content"] == "Half"
    assert finishes(pieces) == [(0, "insufficient_system_resource")]


def test_only_open_choices_are_cut():
    script = streams(chat_chunk("a", finish="stop", index=1), chat_chunk("b", index=0))
    pieces, _ = run(script, chat_job(n=2))
    assert finishes(pieces) == [(1, "stop"), (0, "insufficient_system_resource")]


def test_keep_alive_comments_are_signs_of_life():
    async def script(upstream, body, write):
        await write(HEAD)
        for _ in range(17):
            await write(b": keep-alive\n\n")
            await asyncio.sleep(0.1)
        await streams("Hi", chat_chunk(finish="stop"), DONE)(upstream, body, _tail(write))

    pieces, _ = run(script, timeouts=Timeouts(first=1.5))
    assert message(pieces)["content"] == "Hi"


def _tail(write):
    async def only_events(data):
        if data != HEAD:
            await write(data)

    return only_events


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_events_in_bytes_of_any_cut(newline):
    data = b": x\n\nevent: m\nid: 1\ndata:" + chat_chunk("é｜")[5:] + chat_chunk(finish="stop")
    data = data.replace(b"\n", newline)

    async def script(upstream, body, write):
        await write(HEAD)
        for i in range(0, len(data), 3):
            await write(data[i : i + 3])
            await asyncio.sleep(0)

    pieces, _ = run(script)
    assert message(pieces)["content"] == "é｜" and finishes(pieces) == [(0, "stop")]


@pytest.mark.parametrize("parts", [["One"], []])
def test_the_upstream_sees_at_once_that_a_client_left(parts):
    async def main():
        async with serving(stalls(*parts)) as [server]:
            upstream = ChatUpstream(server.url, model="m")
            pieces = upstream.run(chat_job())
            if parts:
                await anext(pieces)
                await pieces.aclose()
            else:
                waiting = asyncio.create_task(anext(pieces))
                while not server.bodies:
                    await asyncio.sleep(0)
                waiting.cancel()
                await asyncio.wait([waiting])
            async with asyncio.timeout(5):
                await server.gone.wait()
                while server.tasks:
                    await asyncio.sleep(0.01)
            assert asyncio.all_tasks() == {asyncio.current_task()}
            await upstream.close()

    asyncio.run(main())


def test_health():
    async def main():
        async with serving(GOOD) as [server]:
            upstream = ChatUpstream(server.url, model="m", flavour="vllm", timeouts=IMPATIENT)
            assert await upstream.ready() is None
            server.health = 503
            assert "503" in await upstream.ready()
            server.health_delay_s = 30
            assert "within 0.3 seconds" in await upstream.ready()
            await upstream.close()

    asyncio.run(main())
