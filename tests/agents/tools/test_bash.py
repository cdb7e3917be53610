"""bash in a real sandbox: what comes back, and which limit ended what."""

import pytest
from sandboxed import answers

from speciale.agents.tools.bash import bash_tools
from speciale.tasks.environment import Result


def lines(*commands, **limits):
    calls = (("bash", {"command": command}) for command in commands)
    return answers(bash_tools, *calls, **limits)


def test_output_exit_codes_and_what_lasts():
    said = lines(
        "echo out; echo err >&2; echo out again",
        "echo kept > note; cd /tmp; x=1; sleep 100 &",
        "cat note; pwd; echo \"[$x]\"; pgrep sleep || echo 'no sleep'",
        "false",
        "cat /nowhere",
        "((",
        "read line; echo \"[$line]\"",
        "printf 'a\\377b'",
        "echo \"$#\" \"$0\"",
        "echo 'a\ud800b'",
        "id -u; echo $HOME; cat /etc/shadow",
    )  # fmt: skip
    assert said[0] == Result("out\nerr\nout again")
    assert said[1] == Result("(no output)")
    assert said[2] == Result("kept\n/work\n[]\nno sleep")
    assert said[3] == Result("(exit code 1)", error=True)
    assert said[4].error and "No such file" in said[4].text and "(exit code 1)" in said[4].text
    assert said[5].error and "(exit code" in said[5].text
    assert said[6] == Result("[]")
    assert said[7] == Result("a\N{REPLACEMENT CHARACTER}b")
    assert said[8] == Result("1 bash")
    assert said[9] == Result("a?b")
    assert said[10].error and said[10].text.startswith("65534\n/work\n")


def test_limits_are_named():
    (slow,) = lines("echo begun; sleep 600", wall_s=2)
    memory, large, flood, after = lines(
        'for i in 1 2 3; do python3 -c \'a = bytearray(b"1") * (200 << 20); import time; '
        "time.sleep(60)' & done; wait",
        "head -c 3000000 /dev/zero > large",
        "yes",
        "echo fine",
        memory_mb=300,
        file_mb=1,
        output_kb=64,
    )
    assert slow == Result("begun\n(stopped by the limit on wall time, 2 s)", error=True)
    assert memory.error and "(stopped by the limit on memory, 300 MB)" in memory.text
    assert large.error
    assert flood.error and flood.text.endswith("(stopped by the limit on output, 64 KB)")
    assert len(flood.text) < 31_000
    assert after == Result("fine")


@pytest.mark.parametrize("command, words", [("a\0b", "NUL"), ("#" * 200_000, "100,000 bytes")])
def test_what_no_shell_takes(command, words):
    (said,) = lines(command)
    assert said.error and words in said.text
