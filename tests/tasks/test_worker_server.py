"""The server alone, without a sandbox: operations that crash, hang, print or meddle."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from speciale.tasks.worker_server import HEADER

START = """
import sys
sys.path.insert(0, sys.argv[1])
from speciale.tasks import worker_server as server
names = "fine hog crash leave overflow chatter huge sleep odd meddle".split()
server.OPERATIONS = {name: "odd_operations" for name in names}
server.main()
"""


class Server:
    def __init__(self):
        command = [sys.executable, "-c", START, str(Path(__file__).parent)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.number = 0

    def send(self, operation, seconds=20, **fields):
        self.number += 1
        request = {"id": self.number, "operation": operation, "seconds": seconds, "fields": fields}
        data = json.dumps(request).encode()
        self.process.stdin.write(HEADER.pack(len(data)) + data)
        self.process.stdin.flush()
        return self.number

    def receive(self):
        (length,) = HEADER.unpack(self.process.stdout.read(HEADER.size))
        return json.loads(self.process.stdout.read(length))

    def ask(self, operation, seconds=20, **fields):
        number = self.send(operation, seconds, **fields)
        reply = self.receive()
        assert reply.pop("id") == number
        return reply


@pytest.fixture(scope="module")
def server():
    server = Server()
    yield server
    server.process.stdin.close()
    assert server.process.wait(10) == 0


@pytest.mark.parametrize(
    ("operation", "trouble"),
    [
        ("hog", "it needed more than 512 MB"),
        ("crash", "it crashed (exit code -6)"),
        ("leave", "SystemExit: 3"),
        ("overflow", "RecursionError: maximum recursion depth exceeded"),
        ("odd", "TypeError: Object of type object is not JSON serializable"),
    ],
)
def test_trouble_is_a_reply_and_the_next_request_works(server, operation, trouble):
    assert server.ask(operation)["trouble"].startswith(trouble)
    assert server.ask("fine", text="a") == {"value": "A"}


def test_what_an_operation_prints_is_no_reply(server):
    assert server.ask("chatter") == {"value": "said"}
    assert server.ask("fine", text="a") == {"value": "A"}


def test_long_replies_arrive_whole(server):
    assert server.ask("huge") == {"value": "x" * 5_000_000}


def test_nothing_that_a_request_changes_is_there_for_the_next(server):
    assert server.ask("meddle") == {"value": None}
    assert server.ask("fine", text="a") == {"value": "A"}


def test_the_late_one_is_killed_and_holds_up_nobody(server):
    late = server.send("sleep", 1, time_s=30)
    quick = server.send("fine", text="a")
    assert server.receive() == {"id": quick, "value": "A"}
    assert server.receive() == {"id": late, "trouble": "it took longer than 1 s"}


def test_unknown_operations_and_arguments_are_faults(server):
    assert server.ask("nothing")["fault"] == "KeyError: 'nothing'"
    assert server.ask("fine", wrong=1)["trouble"].startswith("TypeError")
