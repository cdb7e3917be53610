"""What a target is asked, one file a suite."""

from speciale.evals.suites import agent, form, longctx, reasoning, safety
from speciale.evals.suites.suite import Suite

SUITES: dict[str, Suite] = {
    each.SUITE.name: each.SUITE for each in (reasoning, agent, longctx, form, safety)
}
