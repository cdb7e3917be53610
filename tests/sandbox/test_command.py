"""`speciale sandbox`: streams passed through as they come, the exit code handed on."""

import json
import subprocess
import sys

import pytest

PROGRAM = """
import sys
from speciale.sandbox import Limits
from speciale.sandbox.command import sandbox_command
name, value, *command = sys.argv[1:]
as_json = command[0] == "--json"
limits = Limits(**{name: int(value)})
sys.exit(sandbox_command(command[as_json:], limits, as_json=as_json))
"""


def command(*words, limit=("wall_s", "60"), **more):
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *limit, *words], capture_output=True, timeout=100, **more
    )


def test_streams_and_exit_code_are_passed_through():
    done = command("bash", "-c", "cat; echo oops >&2; exit 7", input=b"in\0put\xff")
    assert (done.stdout, done.stderr, done.returncode) == (b"in\0put\xff", b"oops\n", 7)


@pytest.mark.parametrize(
    "limit, script, code, said",
    [
        (("wall_s", "1"), "sleep 100", 143, "wall time, 1 s (--wall-s)"),
        (("output_kb", "64"), "yes", 137, "output, 64 KB (--output-kb)"),
        (("cpu_s", "1"), "while :; do :; done", 152, "CPU time, 1 s (--cpu-s)"),
        (
            ("file_mb", "1"),
            "exec head -c 9M /dev/zero > big",
            153,
            "a file's size, 1 MB (--file-mb)",
        ),
    ],
)
def test_the_limit_that_ended_it_is_named(limit, script, code, said):
    done = command("bash", "-c", script, limit=limit)
    assert done.returncode in (code, 137)  # the kernel's signal, or the supervisor's
    last = done.stderr.decode().splitlines()[-1]
    assert last == f"speciale: the command was stopped by its limit on {said}"


def test_a_program_that_is_not_there():
    done = command("no-such-program")
    assert (done.returncode, done.stderr) == (127, b"no-such-program: command not found\n")


def test_output_comes_as_it_is_written():
    script = "print(input()); print(input())"
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "wall_s", "60", "python3", "-u", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    for word in (b"one\n", b"two\n"):
        program.stdin.write(word)
        program.stdin.flush()
        assert program.stdout.readline() == word
    program.stdin.close()
    assert program.wait() == 0
    program.stdout.close()


@pytest.mark.parametrize("as_json", [[], ["--json"]])
def test_input_that_never_ends_does_not_hold_it(as_json):
    with subprocess.Popen(["sleep", "1000"], stdout=subprocess.PIPE) as endless:
        done = command(*as_json, "echo", "done", stdin=endless.stdout)
        endless.kill()
    assert b"done" in done.stdout


def test_a_reader_that_leaves():
    program = f"{sys.executable} -c '{PROGRAM}' output_kb 1000000 yes"
    script = f"{program} | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, timeout=60)
    assert (done.stdout, done.stderr, done.returncode) == (b"y\n", b"", 141)


def test_as_json():
    done = command("--json", "bash", "-c", "cat; printf '\\xff'; echo é >&2; exit 3", input=b"in")
    found = json.loads(done.stdout)
    assert done.returncode == 3 and found.pop("seconds") > 0
    assert found == {"exit_code": 3, "stopped": None, "stdout": "in\ufffd", "stderr": "é\n"}


def test_as_json_with_a_limit():
    done = command("--json", "sleep", "100", limit=("wall_s", "1"))
    assert json.loads(done.stdout)["stopped"] == "wall" and b"--wall-s" in done.stderr
