"""Which curves a report shows of an RL run, from its records; each is left out without its data.

The section's order is that of a reader's questions: does it learn, what does it learn from, does
the objective hold, is the policy that samples the one that is trained, where does the time go.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean

from speciale.rl.report_records import Records, Row
from speciale.rl.report_svg import SMALL, Axes, Line, draw

PANELS = 40  # environments with a figure of their own, trained on and held out each


@dataclass(frozen=True)
class Figure:
    """title and note are plain text, of which `title` may hold names of the run."""

    title: str
    svg: str
    note: str = ""


def held_out(records: Records) -> list[Figure]:
    """pass@1 and pass@k on tasks that were not trained on: means over each domain's environments,
    of environments trained on and of others."""
    domains = _domain_order(records)
    found = []
    for figure, name in (("pass1", "pass@1"), ("passk", _pass_k(records.rows))):
        for trained in (True, False):
            where = "environments trained on" if trained else "environments never trained on"
            rows = [row for row in records.rows if row.held_out and row.trained is trained]
            lines = []
            for place, domain in enumerate(domains):
                means = _mean_by_step((row for row in rows if row.domain == domain), figure)
                lines.append(Line(domain, *means, place, place // 8))
            axes = Axes(scale="share", points=True)
            svg = draw(f"{figure}-{trained}", f"{name}, {where}, over steps", lines, axes)
            if svg:
                found.append(Figure(f"{name}, {where}", svg))
    return found


def environments(records: Records, trained: bool) -> tuple[list[Figure], int]:
    """A figure an environment, a line a level: pass@1, and pass@k dashed. And how many of them
    were left out beyond PANELS."""
    domains = _domain_order(records)
    rows = [row for row in records.rows if row.held_out and row.trained is trained]
    names = sorted({(row.domain, row.source) for row in rows})
    found = []
    for number, (domain, source) in enumerate(names[:PANELS]):
        own = [row for row in rows if (row.domain, row.source) == (domain, source)]
        levels = sorted({row.level for row in own})
        lines = []
        for place, level in enumerate(levels):
            there = [row for row in own if row.level == level]
            alpha = 1 - 0.6 * place / len(levels)
            colour = domains.index(domain)
            words = f"level {level}" if level else "pass@1"
            lines.append(Line(words, *_mean_by_step(there, "pass1"), colour, alpha=alpha))
            lines.append(Line("", *_mean_by_step(there, "passk"), colour, 2, alpha))
        label = f"pass@1 and pass@k of {source} over steps"
        axes = Axes(scale="share", points=True, size=SMALL)
        svg = draw(f"environment-{trained}-{number}", label, lines, axes)
        if svg:
            found.append(Figure(f"{source} ({domain})", svg))
    return found, max(0, len(names) - PANELS)


def reward(records: Records) -> list[Figure]:
    return _present(
        _curves(records, "reward", "Reward by component", "reward/", Axes(smooth=True),
                "Means over the step's attempts; components before their weights."),
        _domains(records, "reward", "Reward by domain", Axes(smooth=True)),
        _domains(records, "score", "Score by domain", Axes(scale="share", smooth=True),
                 "On the tasks that were trained on, as they were sampled."),
        _curves(records, "groups", "Groups of a step", "groups/", Axes(smooth=True),
                "All right or all wrong: the advantages are 0, nothing is learnt from them."),
        _curves(records, "failures", "Attempts dropped for a failure", "failures/", Axes()),
    )  # fmt: skip


def lengths(records: Records) -> list[Figure]:
    kinds = {"length/mean": "mean", "length/max": "longest"}
    return _present(
        _named(records, "length", "Sampled tokens of an attempt", kinds,
               Axes(y="tokens", smooth=True)),
        _domains(records, "tokens", "Sampled tokens by domain", Axes(y="tokens", smooth=True)),
        _named(records, "truncated", "Cut off at the limit", {"length/truncated": "truncated"},
               Axes(scale="part", smooth=True)),
    )  # fmt: skip


def stability(records: Records) -> list[Figure]:
    gap = {"gap/mean": "mean", "gap/max": "largest", "gap/kl": "KL"}
    free = {key.replace("gap/", "routing/"): words for key, words in gap.items()}
    return _present(
        _named(records, "entropy", "Entropy", {"entropy": "entropy"}, Axes("nats", smooth=True)),
        _named(records, "clip", "Clipped and masked",
               {"clipped": "clipped tokens", "masked": "masked samples"},
               Axes(scale="part", smooth=True),
               "Masked: failures too far from the policy, dropped by off-policy masking."),
        _named(records, "kl", "KL from the reference", {"kl": "unbiased estimate", "k3": "K3"},
               Axes("nats a token", "auto", smooth=True)),
        _named(records, "gap", "Gap of sampler and trainer", gap, Axes("nats", "auto"),
               "Between the log-probabilities of the sampled tokens."),
        _named(records, "gap-free", "Gap without Keep Routing",
               {f"gap_free_{key}": words for key, words in free.items()}, Axes("nats", "auto"),
               "The same with the routing of the trainer's own router."),
        _named(records, "routing", "Routing agreement", {"routing_agreement": "agreement"},
               Axes(scale="percent", smooth=True),
               "Experts that the trainer's router would pick as the sampler's did."),
        _named(records, "stale", "Staleness",
               {"staleness/mean": "mean", "staleness/max": "largest"}, Axes("steps"),
               "Weight versions between the sampling of a token and its training."),
        _named(records, "norm", "Gradient norm", {"grad_norm": "norm"}, Axes("", "auto", True)),
        _named(records, "lr", "Learning rate", {"lr": "learning rate"}, Axes()),
    )  # fmt: skip


def speed(records: Records) -> list[Figure]:
    phases = records.keys("phases/")
    steps = [step for step, found in records.steps.items() if any(key in found for key in phases)]
    areas = [
        Line(key[7:], steps, [records.steps[step].get(key, 0.0) for step in steps], colour)
        for colour, key in enumerate(phases)
    ]
    label = "Time of a step by phase"
    svg = draw("phases", label, areas, Axes("seconds", smooth=True, stacked=True))
    return _present(
        _curves(records, "rate", "Tokens a second by phase", "rate/",
                Axes("tokens/s", smooth=True)),
        Figure(label, svg) if svg else None,
        _named(records, "busy", "Sampler busy", {"busy": "busy"}, Axes(scale="share", smooth=True),
               "Share of the wall time in which the sampler worked."),
    )  # fmt: skip


def _curves(
    records: Records, name: str, title: str, start: str, axes: Axes, note: str = ""
) -> Figure | None:
    """A line for each figure whose path begins with `start`."""
    kinds = {key: key[len(start) :].replace("_", " ") for key in records.keys(start)}
    return _named(records, name, title, kinds, axes, note)


def _domains(
    records: Records, figure: str, title: str, axes: Axes, note: str = ""
) -> Figure | None:
    """A line a domain; a domain has the colour that it has in the evaluations' figures."""
    keys = (key[8:].rpartition("/") for key in records.keys("domains/"))
    names = sorted({name for name, _, what in keys if what == figure})
    order = _domain_order(records)
    lines = [
        Line(name, *records.series(f"domains/{name}/{figure}"), place, place // 8)
        for name in names
        for place in [order.index(name)]
    ]
    svg = draw(f"domain-{figure}", f"{title} over steps", lines, axes)
    return Figure(title, svg, note) if svg else None


def _named(
    records: Records, name: str, title: str, kinds: dict[str, str], axes: Axes, note: str = ""
) -> Figure | None:
    lines = [
        Line(words, *records.series(key), place, place // 8)
        for place, (key, words) in enumerate(kinds.items())
    ]
    svg = draw(name, f"{title} over steps", lines, axes)
    return Figure(title, svg, note) if svg else None


def _domain_order(records: Records) -> list[str]:
    """All domains: the place of one is its colour, in every figure."""
    stepped = {key[8:].rpartition("/")[0] for key in records.keys("domains/")}
    return sorted({row.domain for row in records.rows} | stepped)


def _mean_by_step(rows: Iterable[Row], figure: str) -> tuple[list[int], list[float]]:
    values: dict[int, list[float]] = {}
    for row in rows:
        if (value := row.number(figure)) is not None:
            values.setdefault(row.step, []).append(value)
    return list(values), [fmean(each) for each in values.values()]


def _pass_k(rows: list[Row]) -> str:
    """ "pass@8", where all rows have one k."""
    counts = {row.number("k") for row in rows}
    only = counts.pop() if len(counts) == 1 else None
    return f"pass@{only:.0f}" if only else "pass@k"


def _present(*figures: Figure | None) -> list[Figure]:
    return [figure for figure in figures if figure is not None]
