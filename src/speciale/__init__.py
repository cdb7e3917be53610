"""DeepSeek-V3.2 and V3.2-Speciale, end to end."""

from typing import Any

__version__ = "0.1.0"
__all__ = ["Engine", "LLM", "SamplingParams"]

_HOMES = {"Engine": "engine.engine", "LLM": "engine.llm", "SamplingParams": "engine.params"}


def __getattr__(name: str) -> Any:
    """The public names, imported when they are first asked for: torch takes a second."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
