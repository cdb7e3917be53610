"""An OpenAI-compatible chat server over HTTP that behaves like a model with a script.

A script says what is done about a user's message: (words of it, the turns that follow). A turn is
an assistant message, or a function of all messages that gives one; after the last the model says
that it is done. Faults come before answers: a status, "reset", "stall", "garbage" or "empty".
"""

import json
import re
import socket
import struct
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from speciale.synth.llm import example

TASK, HARD = "tasks/000", "tasks/001"


def calls(name, **arguments):
    text = arguments.pop("raw", None)
    text = json.dumps(arguments) if text is None else text
    call = {"id": f"c{len(text)}", "type": "function", "function": {"name": name}}
    call["function"]["arguments"] = text
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def writes(path, content):
    return calls("write_file", path=path, content=content)


def runs(command):
    return calls("bash", command=command)


def says(text):
    return {"role": "assistant", "content": text}


class ScriptedModel:
    """`script`: pairs as above, the first whose words are found in the user's last message is
    followed. `usage`: whether tokens are reported; `longest`: characters of a request, beyond which
    the context is said to be full. `bodies` are the requests that were answered."""

    def __init__(self, *script, faults=(), usage=True, longest=None):
        self.script, self.faults = script, list(faults)
        self.usage, self.longest = usage, longest
        self.bodies, self.requests, self.over = [], 0, threading.Event()

    def reply(self, body):
        messages = body["messages"]
        last = max(n for n, message in enumerate(messages) if message["role"] == "user")
        done = sum(message["role"] == "assistant" for message in messages[last:])
        for words, turns in self.script:
            if re.search(words, messages[last]["content"]):
                turn = turns[done] if done < len(turns) else says("Done.")
                return turn(messages) if callable(turn) else turn
        return says("I would rather talk about the weather.")

    def answer(self, data):
        """Status and bytes."""
        body = json.loads(data)
        if self.longest and len(data) > self.longest:
            return 400, b'{"error": {"message": "maximum context length exceeded"}}'
        self.bodies.append(body)
        message = self.reply(body)
        answer = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
        if self.usage:
            counts = (len(data) // 4, len(json.dumps(message)) // 4)
            answer["usage"] = dict(zip(("prompt_tokens", "completion_tokens"), counts))
        return 200, json.dumps(answer).encode()

    def heard(self, role="user"):
        """All texts of a role, each once, in order."""
        texts = [m["content"] for body in self.bodies for m in body["messages"]
                 if m["role"] == role]  # fmt: skip
        return list(dict.fromkeys(texts))


@contextmanager
def serving(model):
    """The URL up to /v1."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            status = model.faults.pop(0) if model.faults else 200
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def do_POST(self):
            data = self.rfile.read(int(self.headers["content-length"]))
            model.requests += 1
            fault = model.faults.pop(0) if model.faults else None
            if fault == "stall":
                model.over.wait(30)
            if fault in ("reset", "stall"):
                linger = struct.pack("ii", 1, 0)  # RST
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.connection.close()
                self.close_connection = True
                return
            if isinstance(fault, int):
                status, said = fault, b'{"error": "no"}'
            elif fault is not None:
                status, said = 200, {"garbage": b"<html>", "empty": b'{"choices": []}'}[fault]
            else:
                status, said = model.answer(data)
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def finish(self):
            if self.connection.fileno() >= 0:
                super().finish()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        model.over.set()
        server.shutdown()
        server.server_close()
        thread.join(10)


# ---- what a good model does about the museum of the example --------------------------------------

DATA = (
    "^Step 1",
    [
        writes("schema.sql", example.SCHEMA),
        writes("make_data.py", example.MAKE_DATA),
        runs("python3 make_data.py && echo 'A small museum that lends its works.' > about.txt"),
    ],
)
TOOLS = ("^Step 2", [writes("tools.py", example.TOOLS)])
CHEATING = "def verify(answer, before, after):\n    return True\n"


def task_turns(folder, task, solution, verify):
    return [
        writes(f"{folder}/task.json", task),
        writes(f"{folder}/solution.py", solution),
        writes(f"{folder}/verify.py", verify),
        runs(f"python3 try.py {folder[-3:]} || true"),
    ]


EASY = ("^Step 3", task_turns(TASK, example.TASK, example.SOLUTION, example.VERIFY))

GET_WORK = (
    example.TOOLS
    + '''

def get_work(db: sqlite3.Connection, work_id: int) -> dict:
    """Show a work with the year it was made in.

    Args:
        work_id: Number of the work.
    """
    row = db.execute("SELECT * FROM works WHERE id = ?", (work_id,)).fetchone()
    if row is None:
        raise ValueError(f"There is no work {work_id}.")
    return dict(row)
'''
)
HARD_TASK = json.dumps(
    {
        "prompt": "Look at the gallery \"Tower\": the two works that earned most by all their "
        "loans go on tour. Enter a loan of the best one to \"Graz\", for a tenth of what it has "
        "earned so far (rounded down), and one of the second best to \"Porto\" for 100 euros. "
        "Then tell me about both with JSON alone: {\"titles\": [best, second], \"years\": "
        "[of the best, of the second], \"earned\": what both had earned before, together}.",
        "answer_schema": {"type": "object"},
        "pattern": "rank and write",
        "level": 99,
        "harder_than": "777",
    }
)  # fmt: skip
HARD_SOLUTION = """\
def solve(tools):
    works, page, pages = [], 1, 1
    while page <= pages:
        shown = tools.list_works(gallery="Tower", page=page)
        works += shown["works"]
        pages, page = shown["pages"], page + 1
    ranked = []
    for work in works:
        earned = sum(loan["fee"] for loan in tools.list_loans(work_id=work["id"]))
        ranked.append((earned, work["id"]))
    ranked.sort(reverse=True)
    if len({earned for earned, _ in ranked[:3]}) != 3:
        raise ValueError("not unique")
    (first, best), (second, next_best) = ranked[:2]
    both = [tools.get_work(work_id=best), tools.get_work(work_id=next_best)]
    tools.lend(work_id=best, borrower="Graz", fee=first // 10)
    tools.lend(work_id=next_best, borrower="Porto", fee=100)
    return {
        "titles": [work["title"] for work in both],
        "years": [work["year"] for work in both],
        "earned": first + second,
    }
"""
HARD_VERIFY = """\
def rows_of(db):
    names = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return {name: sorted(map(repr, map(tuple, db.execute(f"SELECT * FROM {name}"))))
            for name in names if name != "loans"}


def loans(db):
    return [tuple(row) for row in db.execute("SELECT work_id, borrower, fee FROM loans")]


def verify(answer, before, after):
    top = before.execute(
        "SELECT works.id, title, year, SUM(fee) FROM works JOIN loans ON work_id = works.id "
        "WHERE gallery = 'Tower' GROUP BY works.id ORDER BY SUM(fee) DESC LIMIT 2"
    ).fetchall()
    (best, title, year, first), (second, title2, year2, earned2) = map(tuple, top)
    wanted = sorted([*loans(before), (best, "Graz", first // 10), (second, "Porto", 100)])
    if rows_of(before) != rows_of(after) or sorted(loans(after)) != wanted:
        return "The loans are not those that were to be entered."
    if not isinstance(answer, dict) or set(answer) != {"titles", "years", "earned"}:
        return "The answer has other parts."
    if answer["titles"] != [title, title2] or type(answer["earned"]) not in (int, float):
        return "The titles are others, or the sum is no number."
    years = answer["years"]
    if not isinstance(years, list) or any(type(each) not in (int, float) for each in years):
        return "The years are no numbers."
    right = years == [year, year2] and answer["earned"] == first + earned2
    return True if right else "It is another sum or year."
"""
HARDER = (
    "^Step 4",
    [writes("tools.py", GET_WORK), *task_turns(HARD, HARD_TASK, HARD_SOLUTION, HARD_VERIFY)],
)
