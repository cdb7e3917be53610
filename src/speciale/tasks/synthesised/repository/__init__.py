"""Repositories to be mended: files, tools, hidden tests (V3.2 report, 3.2.3, code agent)."""
