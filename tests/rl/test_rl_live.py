"""The live view of an RL run, on a terminal of any size and in a log file."""

import io
import re
import threading

import pytest
from lifelike_run import evaluation_record, step_record
from rich.console import Console

from speciale.rl.live import Live, sparkline


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def terminal(width=100, height=30):
    return Console(
        file=io.StringIO(), force_terminal=True, width=width, height=height, highlight=False,
        color_system="standard", _environ={},
    )  # fmt: skip


def log_file():
    return Console(file=io.StringIO(), force_terminal=False, width=80, highlight=False)


def drawn(live, console):
    """The view as it stands, without colours."""
    with console.capture() as capture:
        console.print(live._view())
    return re.sub(r"\x1b\[[0-9;]*m", "", capture.get())


def test_the_view_shows_progress_curves_domains_stability_and_rates():
    clock, console = Clock(), terminal(120)
    live = Live(60, console, clock)
    for step in range(1, 21):
        clock.now += 2.5
        live.update(step_record(step))
    text = drawn(live, console)
    assert "step 20/60" in text and "ETA 1:40" in text
    for name in ("reward", "score", "arithmetic", "logic", "agents", "search"):
        assert re.search(rf"^{name} .*[▁▂▃▄▅▆▇█]{{4}}", text, re.M), name
    record = step_record(20)
    assert f"entropy {record['entropy']:.2f}" in text and f"gap {record['gap']['mean']:.1e}" in text
    assert f"sampled {record['rate']['sampled']:,.0f} tok/s" in text
    assert re.search(r"rollout \d\.\d\d s \(5\d%\)", text)
    assert "failures" not in text


def test_a_resumed_run_tells_its_time_from_its_own_steps():
    clock, console = Clock(), terminal()
    live = Live(50, console, clock)
    clock.now += 4
    live.update(step_record(41))
    assert "step 41/50" in drawn(live, console) and "ETA 0:36" in drawn(live, console)


def test_failures_add_up_and_are_red():
    console = terminal()
    live = Live(60, console, Clock())
    live.update(step_record(30))
    live.update(step_record(31))
    live.update(step_record(32))
    with console.capture() as capture:
        console.print(live._view())
    assert re.search(r"\x1b\[1;31mreward 1\x1b", capture.get())


def test_evaluations_show_how_far_they_came():
    console = terminal()
    live = Live(60, console, Clock())
    live.update(evaluation_record(0))
    assert "step 0: pass@1 25.9% in trained environments" in drawn(live, console)
    live.update(step_record(1))
    live.update(evaluation_record(60))
    text = drawn(live, console)
    assert "step 60: pass@1 54.6% (+28.7) in trained" in text and "(+25.1) in new" in text


@pytest.mark.parametrize("size", [(40, 8), (20, 3), (300, 90)])
def test_terminals_of_any_size_hold_it(size):
    console = terminal(*size)
    domains = {f"domain {n}": {"score": 0.5} for n in range(30)}
    with Live(60, console, Clock()) as live:
        live.update(step_record(1) | {"domains": domains})
        live.say("a line that stays")
    lines = re.sub(r"\x1b\[[0-9;]*m", "", drawn(live, console)).splitlines()
    assert max(map(len, lines)) <= size[0]
    if size[1] == 8:
        assert "and 29 more" in "\n".join(lines)


def test_what_others_wrote_does_not_steer_the_terminal():
    console = terminal()
    with Live(60, console, Clock()) as live:
        live.update(step_record(1) | {"domains": {"\x1b[2J[red]x[/]": {"score": 1.0}}})
        live.say("\x1b[2Jcleared [bold]?[/]")
    out = console.file.getvalue()
    assert "\x1b[2J" not in out
    assert "␛[2J[red]x[/]" in out and "␛[2Jcleared [bold]?[/]" in out


def test_records_with_holes_are_shown_as_far_as_they_go():
    console = terminal()
    live = Live(0, console, Clock())
    nothing = float("nan")
    live.update({"step": 1})
    live.update({"step": 2, "reward": {"mean": nothing}, "domains": {"a": {"score": None}, "b": 1}})
    live.update(
        {"step": 3, "reward": None, "phases": {"rollout": 0.0}, "failures": {"reward": None}}
    )
    live.update({"kind": "eval", "step": 3, "rows": [{"domain": "a", "pass1": None}]})
    assert "nothing measured" in drawn(live, console)


def test_a_log_file_gets_a_line_every_few_seconds_and_the_last():
    clock, console = Clock(), log_file()
    with Live(30, console, clock) as live:
        for step in range(1, 31):
            clock.now += 2
            live.update(step_record(step))
        live.update(evaluation_record(30))
        live.say("saved [x]")
    *steps, evaluation, saved = console.file.getvalue().splitlines()
    assert [int(re.match(r"step (\d+)/30", line)[1]) for line in steps] == [*range(1, 30, 3), 30]
    assert "ETA 0:52" in steps[1] and "ETA" not in steps[-1]
    record = step_record(30)
    assert f"reward {record['reward']['mean']:.3f} · score {record['score']:.3f}" in steps[-1]
    assert evaluation.startswith("evaluation: step 30: pass@1") and saved == "saved [x]"
    assert "\x1b" not in console.file.getvalue()


def test_threads_that_print_while_it_is_updated():
    console = terminal()
    problems = []

    def talk():
        try:
            for number in range(60):
                live.say(f"line {number}")
        except Exception as error:
            problems.append(error)

    with Live(500, console, Clock()) as live:
        threads = [threading.Thread(target=talk, daemon=True) for _ in range(3)]
        for thread in threads:
            thread.start()
        for step in range(1, 60):
            live.update(step_record(step))
        for thread in threads:
            thread.join(20)
            assert not thread.is_alive()
    assert problems == []


def test_a_sparkline_is_means_of_stretches_from_lowest_to_highest():
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], 8) == "▁▂▃▄▅▆▇█"
    assert sparkline([0.0, 0.0, 1.0, 1.0], 2) == "▁█"
    assert sparkline([5.0] * 3, 8) == "▁▁▁"
    assert sparkline([], 8) == ""
    assert len(sparkline(list(range(1000)), 37)) == 37
