"""All families of reasoning-gym (arXiv:2505.24760) as tasks, with the library's own curricula."""
