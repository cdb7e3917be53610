"""A short part of fuzz.py; the whole million is `make fuzz`."""

import pytest

from chat.fuzz import check, run
from speciale.chat import CALLS_OPEN, INVOKE_OPEN, PARAMETER_CLOSE, PARAMETER_OPEN, parse


def test_damaged_completions():
    checked, taken = run(seed=7, count=4_000)
    assert checked == 4_000
    assert 400 < taken < 2_000, "the mutations are too weak or too strong to test anything"


def test_the_check_can_fail():
    """A parser that invents is caught: the check is shown a text that lacks the call."""
    from chat.fuzz import check_call

    with pytest.raises(AssertionError, match="invented name"):
        check_call(f'{INVOKE_OPEN} name="f">', "g", "{}")
    with pytest.raises(AssertionError, match="invented key"):
        check_call(f'{INVOKE_OPEN} name="f">', "f", '{"a": "f"}')
    with pytest.raises(AssertionError, match="invented value"):
        check_call(f'{INVOKE_OPEN} name="f"> name="a"', "f", '{"a": "z"}')


INVOKE = f'{INVOKE_OPEN} name="f">\n'
PARAMETER = f'{PARAMETER_OPEN} name="a" string="true">'
HOSTILE = {
    "angles": "<",
    "newlines": "\n",
    "half marks": "<｜",
    "bars": "｜",
    "closing marks": "</｜DSML｜parameter",
    "openings": f"{INVOKE_OPEN} ",
    "keys": f'{PARAMETER_OPEN} name="',
    "calls": f"{INVOKE}{PARAMETER}x</｜DSML｜invoke>",
    "quoted keys": f"{INVOKE}{PARAMETER}x</｜DSML｜invoke>".replace('"a"', '"a"b"'),
    "self-closing": f'{INVOKE_OPEN} name="f"/>x',
    "texts between": f"{INVOKE}</｜DSML｜invoke>x",
}


@pytest.mark.parametrize("unit", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize(
    "tail", ["", f'{PARAMETER_OPEN} name="z" string="true">y{PARAMETER_CLOSE}']
)
def test_hostile_repetition_is_read_alike_in_any_chunks(unit, tail):
    for head in ("", f'\n\n{CALLS_OPEN}\n{INVOKE_OPEN} name="f">\n'):
        check(head + unit * 40 + tail, "chat", 1)
        check(head + unit * 40 + tail, "thinking", 7)


@pytest.mark.parametrize("unit", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_repetition_costs_no_more_steps_than_text(unit, monkeypatch):
    """Work is counted, not timed: characters that patterns look at and that are copied may grow
    with the text only. (The seconds are in benchmarks/chat_format.py.)"""
    from speciale.chat import reader

    def copied(length):
        total = 0
        unread = reader.Reader.unread

        def counting(self, text):
            nonlocal total
            total += len(text) if self.at >= len(text) else len(self.buffer) - self.at + len(text)
            unread(self, text)

        with monkeypatch.context() as patch:
            patch.setattr(reader.Reader, "unread", counting)
            parse(unit * (length // len(unit)), "chat", "lenient")
        return total

    assert copied(40_000) <= 2.5 * copied(20_000) + 1_000
