"""The code agent: repositories with bugs, mined and made, judged by hidden tests (V3.2, 3.2.3)."""
