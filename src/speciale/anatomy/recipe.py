"""The recipe of an anatomy: a base recipe, its RL, and variants that lack a stage each."""

from __future__ import annotations

from pydantic import Field, model_validator

from speciale.errors import ConfigError
from speciale.rl.recipe import Recipe as RlRecipe
from speciale.rl.recipe import read_recipe as read_rl_recipe
from speciale.train.recipe import Recipe, read_recipe
from speciale.train.tables import Table, read_table


class Variant(Table):
    name: str = Field(pattern=r"^\w[\w .-]*$")  # also a folder's name
    beside: str | None = None  # the variant that has the stage; None: it has all of them
    claim: str = ""  # what the reports say of the stage
    changes: list[str] = Field([])  # of the base recipe, as `--set` has them
    rl: bool = True
    domains: list[str] | None = None  # of RL; None: all


class Anatomy(Table):
    name: str = Field(pattern=r"^\w[\w .-]*$")
    base: str  # a recipe of `speciale speedrun`
    changes: list[str] = Field([])  # for every variant
    rl: str  # a recipe of `speciale rl`
    rl_changes: list[str] = Field([])
    tasks: int = Field(12, ge=1)  # of each family of problems and each pattern of environments
    samples: int = Field(4, ge=1)
    max_tokens: int = Field(96, ge=1)  # of a completion
    variants: list[Variant] = Field(min_length=1)

    @model_validator(mode="after")
    def _order(self) -> Anatomy:
        known: set[str] = set()
        for variant in self.variants:
            if variant.name in known:
                raise ConfigError(f"anatomy {self.name!r} has two variants {variant.name!r}")
            if variant.beside is not None and variant.beside not in known:
                raise ConfigError(
                    f"variant {variant.name!r} stands beside {variant.beside!r}, which does not "
                    "come before it: change the order or the name"
                )
            known.add(variant.name)
        return self

    def train_recipe(self, variant: Variant) -> Recipe:
        """What `speciale speedrun` would train; RL comes behind it."""
        found = read_recipe(self.base, [*self.changes, *variant.changes])
        return found.model_copy(update={"rl": None, "name": variant.name})

    def rl_recipe(self, variant: Variant, model: str, store: str | None) -> RlRecipe:
        places = [f'model="{model}"', *([f'store="{store}"'] if store else [])]
        found = read_rl_recipe(self.rl, [*self.rl_changes, *places])
        if variant.domains is None:
            return found
        unknown = set(variant.domains) - set(found.domains)
        if unknown:
            raise ConfigError(
                f"variant {variant.name!r}: RL recipe {self.rl!r} has no domain "
                f"{sorted(unknown)[0]!r}, only {', '.join(found.domains)}"
            )
        kept = {name: found.domains[name] for name in variant.domains}
        return found.model_copy(update={"domains": kept})


def read_anatomy(name_or_path: str, overrides: list[str] | None = None) -> Anatomy:
    """A built-in anatomy by name, or a TOML file by path. ConfigError, also for its variants."""
    found = read_table(Anatomy, "speciale.recipes.anatomy", name_or_path, overrides)
    for variant in found.variants:
        found.train_recipe(variant)
        if variant.rl:
            found.rl_recipe(variant, "model", "store")
    return found
