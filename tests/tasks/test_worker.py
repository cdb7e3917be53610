"""The server in the sandbox: answers that hang, a server that dies, askers side by side."""

import asyncio
import os
import threading

import pytest

from speciale.errors import SpecialeError
from speciale.sandbox import Sandbox
from speciale.tasks import worker
from speciale.tasks.worker import Reply, ask, ask_now

SLOW = {"pattern": "(a+)+b", "answer": "a" * 60}  # backtracks for longer than anyone waits


@pytest.fixture(scope="module")
def sandbox():
    sandbox = Sandbox()
    yield sandbox
    sandbox.close()


def test_replies_go_to_who_asked(sandbox):
    async def all_at_once():
        asked = [
            ask(sandbox, "search", pattern="[02468]+", answer=str(number)) for number in range(24)
        ]
        return await asyncio.gather(*asked)

    replies = asyncio.run(all_at_once())
    digits = [set(str(number)) for number in range(24)]
    assert [reply.value for reply in replies] == [each <= set("02468") for each in digits]


def test_one_that_hangs_is_ended_and_holds_up_nobody(sandbox):
    async def both():
        slow = asyncio.create_task(ask(sandbox, "search", 1.5, **SLOW))
        quick = await ask(sandbox, "search", pattern="a", answer="a")
        return slow.done(), quick, await slow

    done, quick, slow = asyncio.run(both())
    assert not done and quick == Reply(True)
    assert slow == Reply(None, "it took longer than 1.5 s")
    assert ask_now(sandbox, "search", pattern="a", answer="b") == Reply(False)


def test_one_that_raises_is_trouble(sandbox):
    assert "unterminated" in ask_now(sandbox, "search", pattern="(", answer="").trouble
    assert ask_now(sandbox, "search", pattern="a", answer="a") == Reply(True)


def test_what_cannot_work_is_an_error_and_no_score(sandbox):
    with pytest.raises(SpecialeError, match="'score' cannot run in the sandbox: KeyError: 'sums'"):
        ask_now(sandbox, "score", family="sums", level=1, entry={}, answer="")
    with pytest.raises(SpecialeError, match="KeyError: 'eval'"):
        ask_now(sandbox, "eval", code="1")


def test_a_server_that_dies_is_started_again(sandbox):
    def kill(after):
        def now():
            worker._workers[sandbox]._link._process.kill()

        worker._workers[sandbox]._loop.call_soon_threadsafe(now) if not after else (
            threading.Timer(after, now).start()
        )

    assert ask_now(sandbox, "search", pattern="a", answer="a") == Reply(True)
    kill(after=0)
    assert ask_now(sandbox, "search", pattern="a", answer="a") == Reply(True)
    kill(after=0.3)  # in the middle: it is asked again
    assert ask_now(sandbox, "search", 1, **SLOW) == Reply(None, "it took longer than 1 s")


def test_event_loops_in_threads_ask_side_by_side(sandbox):
    replies = []

    def one(number):
        reply = asyncio.run(ask(sandbox, "search", pattern=str(number), answer="3"))
        replies.append((number, reply.value))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(replies) == [(number, number == 3) for number in range(6)]


def test_a_fork_of_this_process_asks_a_server_of_its_own(sandbox):
    assert ask_now(sandbox, "search", pattern="a", answer="a") == Reply(True)
    pid = os.fork()
    if pid == 0:
        try:
            reply = ask_now(sandbox, "search", pattern="a", answer="b")
            os._exit(0 if reply == Reply(False) else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert ask_now(sandbox, "search", pattern="a", answer="a") == Reply(True)


def test_a_closed_sandbox_is_opened_again():
    sandbox = Sandbox()
    assert ask_now(sandbox, "search", pattern="a", answer="a") == Reply(True)
    sandbox.close()
    assert ask_now(sandbox, "search", pattern="a", answer="a") == Reply(True)
    sandbox.close()
