"""The built-in RL recipes: each reads, reads back the same, and names sources that exist."""

import pytest

from speciale.errors import ConfigError
from speciale.rl.distill import read_distill
from speciale.rl.draws import cells_of
from speciale.rl.recipe import PACKAGE, read_recipe
from speciale.rl.rewards.settings import build
from speciale.tasks.sources import load_tasks
from speciale.train.tables import built_in

NAMES = built_in(PACKAGE)
SPECIALISTS = {"mathematics", "programming", "logic", "agents", "coding", "search"}


def test_there_is_one_for_each_purpose():
    assert set(NAMES) >= SPECIALISTS | {"rl-laptop", "mixed", "speciale"}


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_reads_back_the_same(tmp_path, name):
    recipe = read_recipe(name, ["seed=3", "store=some/tasks"])
    assert recipe.name == name and recipe.seed == 3
    path = tmp_path / "recipe.toml"
    path.write_text(recipe.to_toml(), "utf-8")
    assert read_recipe(str(path)) == recipe
    for domain in recipe.domains:
        for source in [*recipe.sources(domain), *recipe.sources(domain, heldout=True)]:
            for cell in cells_of(domain, [source]):
                if cell.source.startswith(("problems/", "reasoning-gym/")):
                    load_tasks(cell.source, level=cell.level)  # raises for what is not there


def test_a_distillation_reads_back_the_same(tmp_path):
    for name in built_in(f"{PACKAGE}.distill"):
        recipe = read_distill(name)
        path = tmp_path / "recipe.toml"
        path.write_text(recipe.to_toml(), "utf-8")
        assert read_distill(str(path)) == recipe


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("rollout.group_size=1", "group_size"),
        ("train.steps=no", "train.steps"),
        ("objective.clip=0.2", "clip"),
        ("domains={}", "domains"),
    ],
)
def test_what_is_wrong_is_named(change, words):
    with pytest.raises(ConfigError, match=words):
        read_recipe("rl-laptop", [change])


def test_a_domain_without_rewards_is_refused():
    recipe = read_recipe("rl-laptop", ["domains.arithmetic.rewards={ outcome = 0.0 }"])
    with pytest.raises(ConfigError, match="weight 0"):
        build(recipe.domains["arithmetic"].rewards)
