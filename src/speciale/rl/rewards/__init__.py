"""Rewards: what an attempt is worth, by rules and by models that grade, composed per domain.

V3.2 report, section 3.1. component.py puts them together, settings.py builds them of a recipe.
"""

from speciale.rl.rewards.component import Component, Reward, RewardError, Rewards
from speciale.rl.rewards.settings import RewardSettings, build

__all__ = ["Component", "Reward", "RewardError", "Rewards", "RewardSettings", "build"]
