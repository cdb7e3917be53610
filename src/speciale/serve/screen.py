"""Standard output as a chat uses it: answers, remarks and questions, all safe to show."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap

from speciale.terminal import visible

_DIM, _NORMAL = "\x1b[2m", "\x1b[0m"


class Screen:
    """Standard output as a chat uses it; all text goes through `visible`.

    `interactive` where a person sits at both ends. Otherwise no escape code is written, and remarks
    go to standard error, so that a pipe gets the answers alone.
    """

    def __init__(self) -> None:
        for stream in (sys.stdin, sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="replace")  # ill-formed input is no reason to end
        self.interactive = sys.stdin.isatty() and sys.stdout.isatty()
        self._can_dim = self.interactive and os.environ.get("TERM") != "dumb"
        self._at_start = True  # of a line

    def write(self, text: str, dim: bool = False) -> None:
        """Shows `text` at once. Both codes go in one call: an interrupt leaves no dim behind."""
        if not text:
            return
        self._at_start = text.endswith("\n")
        text = visible(text)
        sys.stdout.write(f"{_DIM}{text}{_NORMAL}" if dim and self._can_dim else text)
        sys.stdout.flush()

    def start_line(self) -> None:
        """Ends the line under way, if there is one."""
        if not self._at_start:
            self.write("\n")

    def remark(self, text: str) -> None:
        """Something that we say, not the model: on lines of its own, cut between words."""
        if self.interactive:
            width = shutil.get_terminal_size().columns - 1
            lines = [textwrap.fill(line, width) for line in text.splitlines()]
            self.start_line()
            self.write("\n".join(lines) + "\n", dim=True)
        else:
            print(visible(text), file=sys.stderr, flush=True)

    def ask(self) -> str:
        """The next line that was entered; EOFError at the end of the input."""
        self.start_line()
        self._at_start = not self.interactive  # an interrupted line stays under way
        line = input("> " if self.interactive else "")
        self._at_start = True
        return line
