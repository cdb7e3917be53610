"""A real kernel in a real sandbox: what cells give, and what they do to themselves."""

import asyncio
import os
import time
from functools import partial
from types import SimpleNamespace

import pytest
from sandboxed import answers, opened

from speciale.agents.tools import kernel_host
from speciale.agents.tools.python import ask, python_tools
from speciale.sandbox import Process
from speciale.tasks.environment import Result

LOST = "All variables are lost"

# In this order, in one kernel.
SESSION = {
    "print": "x = 6\nprint('set')",
    "value": "x * 7",
    "nothing": "y = 1",
    "streams": "import sys; print('out'); print('err', file=sys.stderr)",
    "program": "import os; os.system('echo from a program'); print('then')",
    "exception": "1 / 0",
    "syntax": "def broken(:",
    "kept": "x",
    "shell": "!echo $((40 + 2))",
    "help": "len?",
    "colour": "print('\\x1b[31mred\\x1b[0m')",
    "progress": "for i in range(101): print(f'\\r{i} %', end='')",
    "unicode": "print('\\N{SNOWMAN}')",
    "folder": "open('made.txt', 'w').write('m')\nos.listdir('.')",
    "network": "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9')",
    "who": "os.environ.get('HOME'), os.getuid()",
    "input": "input('name? ')",
    "surrogate": "print(len('a\ud800'))",
    "picture": "from IPython.display import Image, display\n"
    "display(Image(data=b'\\x89PNG' + b'0' * 3000, format='png'))",
    "thread": "import threading, time\n"
    "def tick():\n    time.sleep(0.3); print('tick')\n"
    "threading.Thread(target=tick).start()",
    "thread later": "time.sleep(0.6); print('tock')",
    "fork": "import multiprocessing\n"
    "def square(n):\n    print('child'); return n * n\n"
    "with multiprocessing.get_context('fork').Pool(2) as pool: print(pool.map(square, [2, 3]))",
    "long": "print('a' * 20_000_000 + 'end')",
    "flood": "while True: print('flood ' * 1000)",
    "after": "x",
}


def cells(*codes, **limits):
    return answers(python_tools, *(("python", {"code": code}) for code in codes), **limits)


@pytest.fixture(scope="module")
def session():
    return dict(zip(SESSION, cells(*SESSION.values()), strict=True))


def test_results(session):
    expected = {
        "print": "set",
        "value": "42",
        "nothing": "(no output)",
        "kept": "6",
        "shell": "42",
        "colour": "red",
        "progress": "100 %",
        "unicode": "\N{SNOWMAN}",
        "folder": "['made.txt']",  # and nothing of the kernel's
        "who": "('/work', 65534)",
        "surrogate": "2",
        "after": "6",
    }
    assert {name: session[name].text for name in expected} == expected
    # What a program prints takes another way than what Python prints: it may come in the middle.
    program = session["program"].text
    assert "from a program" in program
    assert program.replace("from a program", "").split() == ["then"]
    assert set(session["streams"].text.split()) == {"out", "err"}
    assert "Return the number of items" in session["help"].text


def test_errors(session):
    wrong = {name for name, result in session.items() if result.error}
    assert wrong == {"exception", "syntax", "network", "input", "flood"}
    assert "ZeroDivisionError: division by zero" in session["exception"].text
    assert not any("\x1b" in result.text for result in session.values())
    assert "SyntaxError" in session["syntax"].text
    assert "URLError" in session["network"].text
    assert "does not support input" in session["input"].text


def test_pictures_are_noted(session):
    assert "[image/png of about 3,00" in session["picture"].text


def test_threads_and_forks_are_heard(session):
    assert session["thread"].text == "(no output)"
    assert session["thread later"].text == "tick\ntock"
    assert session["fork"].text.count("child") == 2 and "[4, 9]" in session["fork"].text


def test_too_much_output(session):
    long, flood = session["long"].text, session["flood"].text
    assert len(long) < 31_000 and len(flood) < 31_000
    assert long.startswith("aaaa") and long.endswith("end")
    assert "characters left out" in long
    assert flood.endswith("characters of output. Variables are kept.")


def test_cells_that_do_not_end():
    slow, kept, stubborn, fresh = cells(
        "x = 5\nimport time\ntime.sleep(60)",
        "x",
        "while True:\n    try: time.sleep(60)\n    except BaseException: pass",
        "x",
        wall_s=1,
    )
    assert slow.error and slow.text.endswith("Interrupted after 1 s. Variables are kept.")
    assert kept == Result("5")
    assert stubborn.error and "killed" in stubborn.text and LOST in stubborn.text
    assert fresh.error and "NameError" in fresh.text


def test_kernels_that_die():
    dead, fault, left, host, alive = cells(
        # A module named like one of Python's own breaks no start.
        "x = 5\nprint('last words')\nopen('random.py', 'w').write('1 / 0')\nimport os; os._exit(3)",
        "import ctypes; ctypes.string_at(0)",
        "exit()",
        "import os; os.kill(os.getppid(), 9)",
        "1 + 1",
    )
    assert dead.error and "The Python process ended with 3." in dead.text and LOST in dead.text
    assert "killed by SIGSEGV" in fault.text and "Segmentation fault" in fault.text
    assert "exit() ended this Python." in left.text and LOST in left.text
    assert "Python ended with exit code 137." in host.text and LOST in host.text
    assert alive == Result("2")


def test_too_much_memory():
    one, all_together, alive = cells(
        "a = bytearray(2 << 30)",
        "import subprocess, sys, time\n"
        "code = 'import time; a = bytearray(b\"1\") * (400 << 20); time.sleep(60)'\n"
        "for _ in range(2): subprocess.Popen([sys.executable, '-c', code])\n"
        "time.sleep(60)",
        "1 + 1",
        memory_mb=600,
    )
    assert one.error and "MemoryError" in one.text
    assert all_together.error and "the limit on memory, 600 MB" in all_together.text
    assert LOST in all_together.text
    assert alive == Result("2")


def test_calls_from_outside():
    """Side by side they take turns; one that is stopped costs the variables, and the next says so.
    Nothing is left when the tools are closed."""
    begun = time.time()

    async def run():
        async with opened(python_tools) as environment:

            def cell(code):
                return environment.call("python", {"code": code})

            codes = [f"import time; time.sleep(0.1); print({n})" for n in range(4)]
            told = await asyncio.gather(*map(cell, codes))
            call = asyncio.create_task(
                cell("import subprocess; subprocess.Popen(['sleep', '987']); time.sleep(60)")
            )
            await asyncio.sleep(0.5)
            call.cancel()
            await asyncio.wait([call])
            return told, call.cancelled(), await cell("'time' in dir()"), await cell("2")

    told, cancelled, after, then = asyncio.run(run())
    assert [result.text for result in told] == ["0", "1", "2", "3"]
    assert cancelled
    assert "Python was restarted" in after.text and after.text.endswith("\nFalse")
    assert then == Result("2")
    assert not [words for words in processes(begun) if words[:2] == [b"sleep", b"987"]]


def processes(since):
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
            if os.stat(f"/proc/{pid}").st_ctime > since - 5:
                yield words
        except OSError:
            continue


@pytest.mark.parametrize(
    "said",
    [
        b"\xff\xff\xff\xff",  # a length of 4 GB
        (4).to_bytes(4, "big") + b"nope",
        (2).to_bytes(4, "big") + b"[]",
        (100_000).to_bytes(4, "big") + b"[" * 100_000,
        (44).to_bytes(4, "big") + b'{"text": null, "error": false, "lost": true}',
    ],
    ids=["length", "no JSON", "a list", "depth", "types"],
)
def test_answers_from_the_sandbox_are_not_believed(said):
    async def run():
        reader = asyncio.StreamReader()
        reader.feed_data(said)

        async def send(value): ...

        process = SimpleNamespace(stdout=reader, send=send)
        process.receive = partial(Process.receive, process)
        await ask(process, {"code": "1"})

    with pytest.raises(ValueError):
        asyncio.run(run())


def test_an_answer_that_is_forged():
    forge = (
        "import os\n"
        "host = f'/proc/{os.getppid()}/fd'\n"
        "for fd in os.listdir(host):\n"
        "    try:\n"
        "        if fd != '0' and os.readlink(f'{host}/{fd}').startswith('pipe:'):\n"
        "            pipe = os.open(f'{host}/{fd}', os.O_WRONLY | os.O_NONBLOCK)\n"
        "            os.write(pipe, (2).to_bytes(4, 'big') + b'[]')\n"
        "    except OSError: pass\n"
    )
    forged, alive = cells(forge, "1 + 1")
    assert "could not be read (it has another form)" in forged.text and LOST in forged.text
    assert alive == Result("2")


def test_text_keeps_beginning_and_end():
    text = kernel_host.Text()
    for number in range(100_000):
        text.add(f"{number}\n")
    said = str(text)
    assert said.startswith("0\n1\n2\n") and said.endswith("99998\n99999\n")
    kept = kernel_host.MOST // 2 * 2
    assert f"[… {text.seen - kept:,} characters left out …]" in said
    text.clear()
    text.line("done")
    assert str(text) == "done\n"


def test_plain_text_of_terminals():
    assert kernel_host.plain("a\x1b[1;31mb\x1b[0mc\x1b]0;title\x07d") == "abcd"
    assert kernel_host.plain("10 %\r20 %\r\nnext\r\n") == "20 %\nnext\n"
