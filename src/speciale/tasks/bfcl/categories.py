"""The categories of BFCL v4 that can be verified here, and why the others cannot.

Sizes and names are those of bfcl-eval 2026.3.23; `multi_turn_*` came with v3, `live_*` with v2.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Category:
    """`kind` says what solves a task: "calls" (the calls of the one answer), "silence" (no call),
    "call" (any call), "worlds" (what calls over several turns did to their environments)."""

    name: str
    size: int
    kind: str
    description: str
    language: str = "python"


_ALL = (
    Category("simple_python", 400, "calls", "one function offered, one call of it"),
    Category("simple_java", 100, "calls", "the same, with values as Java literals", "java"),
    Category(
        "simple_javascript",
        50,
        "calls",
        "the same, with values as JavaScript literals",
        "javascript",
    ),
    Category("multiple", 200, "calls", "several functions offered, one call of the right one"),
    Category("parallel", 200, "calls", "one function offered, several calls in one answer"),
    Category("parallel_multiple", 200, "calls", "several functions offered, several calls"),
    Category("irrelevance", 240, "silence", "no function offered helps: answer without a call"),
    Category("live_simple", 258, "calls", "as simple_python, contributed by users"),
    Category("live_multiple", 1053, "calls", "as multiple, contributed by users"),
    Category("live_parallel", 16, "calls", "as parallel, contributed by users"),
    Category("live_parallel_multiple", 24, "calls", "as parallel_multiple, contributed by users"),
    Category("live_irrelevance", 884, "silence", "as irrelevance, contributed by users"),
    Category("live_relevance", 16, "call", "some function helps: call at least one"),
    Category("multi_turn_base", 200, "worlds", "several user turns over live environments"),
    Category("multi_turn_miss_func", 200, "worlds", "a function is offered only in a later turn"),
    Category("multi_turn_miss_param", 200, "worlds", "a value is named only in a later turn"),
    Category("multi_turn_long_context", 200, "worlds", "the environments give very long results"),
)
CATEGORIES = {category.name: category for category in _ALL}

_WEB = "it asks the live web through a paid search service, so that no run repeats another"
_MEMORY = "its questions follow conversations that the same model must have had before"
REFUSED = {
    "web_search_base": _WEB,
    "web_search_no_snippet": _WEB,
    "memory_kv": _MEMORY,
    "memory_vector": _MEMORY,
    "memory_rec_sum": _MEMORY,
    "format_sensitivity": "it scores prompts for calls as text; here calls have one format",
}
