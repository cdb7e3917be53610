"""An agent at work, as it happens: thinking dim, calls and their results on lines of their own.

A person sees all of it; a pipe gets the answer alone, and standard error what was called.
"""

from __future__ import annotations

from speciale.agents.loop import AgentEvent, Called, ContextManaged
from speciale.agents.trajectory import Trajectory
from speciale.chat import ArgumentDelta, CallEnd, CallStart, ContentDelta, ReasoningDelta
from speciale.serve.screen import Screen

_LINES, _CHARACTERS = 8, 600  # of a result that are shown

_STOPS = {
    "answer": "answered",
    "length": "cut off: the completion reached its longest (--max-tokens, or the window)",
    "turns": "ended by --max-turns",
    "tokens": "ended by its budget of tokens",
    "seconds": "ended by --seconds",
    "context": "the window is full (--context says how to go on)",
    "cancelled": "stopped",
    "error": "failed",
}


class AgentView:
    """Hears a run's events; `Screen` makes whatever a model or a tool wrote safe to show."""

    def __init__(self) -> None:
        self.screen = Screen()
        self._call = ""

    def hear(self, event: AgentEvent) -> None:
        live = self.screen.interactive
        match event:
            case ReasoningDelta(text) if live:
                self.screen.write(text, dim=True)
            case ContentDelta(text) if live:
                self.screen.write(text)
            case CallStart(_, name):
                self._call = f"{name} "
            case ArgumentDelta(_, text):
                self._call += text
            case CallEnd():
                self.screen.remark(f"→ {shortened(self._call)}")
            case Called(record):
                sign = "✗" if record.error else "←"
                took = f"{record.seconds:.1f} s"
                self.screen.remark(f"{sign} {record.name} ({took})\n{shortened(record.result)}")
            case ContextManaged(before, after):
                self.screen.remark(f"the context was managed: {before} to {after} tokens")

    def end(self, done: Trajectory) -> None:
        """The answer, where it was not shown as it came, and how the run went."""
        self.screen.start_line()
        if not self.screen.interactive and done.answer:
            self.screen.write(done.answer + "\n")
        self.screen.remark(summary(done))


def summary(done: Trajectory) -> str:
    """A line on how a run ended."""
    calls = [call for step in done.steps for call in step.calls]
    failed = sum(call.error for call in calls)
    end = _STOPS[done.stop] + (f": {done.error}" if done.error else "")
    shown = f"{len(calls)} calls" + (f" ({failed} failed)" if failed else "")
    # A chat server keeps its ids to itself.
    tokens = f"{done.sampled_tokens} tokens, " if done.sampled_tokens else ""
    return f"{end}; {len(done.steps)} steps, {shown}, {tokens}{done.seconds:.1f} s"


def shortened(text: str) -> str:
    """The beginning of a long text."""
    lines = text[:_CHARACTERS].splitlines()[:_LINES]
    short = "\n".join(lines)
    return short if len(short) >= len(text.rstrip("\n")) else f"{short} …"
