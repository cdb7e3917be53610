"""Agents: the tool loop that thinks, its tools, its memory of what happened."""
