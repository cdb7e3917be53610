"""Agents: the tool loop that thinks, the seam to a model, what it records, its memory."""

from typing import Any

_HOMES = {
    "calls": ["CallLimits", "CallRecord"],
    "chat_server": ["ChatServer"],
    "context": ["STRATEGIES", "fewest_steps"],
    "conversation": ["Conversation"],
    "embedded": ["EmbeddedSampler"],
    "loop": ["Budget", "Called", "ContextManaged", "Plan", "attempt_task", "run_agent"],
    "sampler": ["Sample", "Sampler", "SamplerError"],
    "scripted": ["ScriptedSampler", "replay"],
    "server": ["ServerSampler"],
    "trajectory": ["Trajectory", "append_trajectory", "read_trajectories"],
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    """The public names, imported when they are first asked for: only the engine needs torch."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
