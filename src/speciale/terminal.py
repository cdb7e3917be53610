"""What others wrote, made safe to print, and tables of it.

A terminal obeys control characters (ECMA-48), so none of them may come out of a model or a file.
They are shown as the symbols of Unicode's "Control Pictures" block.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Sequence

# C0 but for tab and line feed, DEL, and C1, whose U+009B begins a sequence as ESC [ does. The
# direction marks would let a text be shown in another order than it has (Unicode UAX 9).
_SYMBOLS = {code: 0x2400 + code for code in range(0x20) if chr(code) not in "\t\n"}
_SYMBOLS |= {0x7F: 0x2421} | dict.fromkeys(range(0x80, 0xA0), 0x2426)
_SYMBOLS |= dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)], 0x2426)
_PIPE_WIDTH = 250  # as wide as it needs, so that nothing is cut


def visible(text: str) -> str:
    """`text` with every character that could steer a terminal replaced by one visible symbol."""
    return text.translate(_SYMBOLS)


def print_table(
    names: Sequence[str], rows: Iterable[Sequence[str]], right: Collection[str] = ()
) -> None:
    """A table on standard output; the columns named in `right` are aligned there."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in names:
        table.add_column(name, justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(visible(cell)) for cell in row))
    Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False).print(table)
