"""Tasks of other people's harnesses, put to the same targets: one file a harness, and what they
share."""

from speciale.evals.harnesses import inspect_ai, lm_eval
from speciale.evals.harnesses.harness import Harness

HARNESSES: dict[str, Harness] = {each.HARNESS.name: each.HARNESS for each in (lm_eval, inspect_ai)}
