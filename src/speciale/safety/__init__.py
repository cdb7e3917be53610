"""The content filter: what a prompt or a completion may hold, decided by a policy."""
