"""Which part of a model's text is its answer, and the question's last line that says so.

reasoning-gym's own prompts ask for `<answer>` tags, mathematics for `\\boxed{}`; both are taken.
"""

from __future__ import annotations

HOW_TO_ANSWER = "Give your final answer between <answer> and </answer>."
MOST = 1_000_000  # characters; a tower of Hanoi may need 300,000


def final_answer(text: str) -> str:
    """The text between the last `<answer>` tags; else in the last \\boxed{}; else all of it.

    White space around it and one code fence around all of it count for nothing.
    """
    found = _tagged(text)
    if found is None:
        found = _boxed(text)
    if found is None:
        found = text
    found = found.strip()
    opening, line, inside = found.partition("\n")
    if line and opening.startswith("```") and inside.endswith("```"):
        found = inside.removesuffix("```").strip()
    return found


def shown(text: str) -> str:
    """A text for a sentence: on one line, quoted, at most 80 characters of it."""
    short = text if len(text) <= 80 else f"{text[:77]}..."
    return repr(short)


def _tagged(text: str) -> str | None:
    end = text.rfind("</answer>")
    start = text.rfind("<answer>", 0, max(end, 0))
    return text[start + len("<answer>") : end] if 0 <= start < end else None


def _boxed(text: str) -> str | None:
    start = text.rfind("\\boxed{")
    if start < 0:
        return None
    depth = 0
    for place in range(start + len("\\boxed"), len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return text[start + len("\\boxed{") : place]
    return None
