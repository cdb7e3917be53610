"""Synthesis of agentic tasks: authors, gates and the store (V3.2 report, section 3.2.3)."""
