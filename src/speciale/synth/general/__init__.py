"""The general agent's tasks: made without a model, over worlds of many categories.

V3.2 report, 3.2.3: ⟨environment, tools, task, verifier⟩.
"""

from __future__ import annotations

from speciale.synth.general.author import CATEGORIES, items, make

__all__ = ["CATEGORIES", "items", "make"]
