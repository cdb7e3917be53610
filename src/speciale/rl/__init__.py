"""Reinforcement learning: GRPO that stays stable (V3.2 report, sections 3 and 3.1)."""
