"""Small agent tasks, two to four calls each, that a model of a few million parameters can learn.

V3.2 report, 3.2.3: ⟨environment, tools, task, verifier⟩, at the size of a laptop.
"""

from __future__ import annotations

from speciale.synth.starter.author import PATTERNS, UNSEEN_PATTERNS, items, make

__all__ = ["PATTERNS", "UNSEEN_PATTERNS", "items", "make"]
