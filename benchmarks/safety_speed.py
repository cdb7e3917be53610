"""Claim: the embedded classifiers judge 1,000 characters within 60 ms on one core.

Medians over rounds for three kinds of text, the first round left out; loading is not counted. CPU
time is what a core of one's own would need; the clock shows the neighbours too.
"""

from __future__ import annotations

import statistics
from time import perf_counter, process_time

import torch

from _results import Row, write
from speciale.safety.classifiers import EmbeddedClassifiers

ROUNDS = 15
ENGLISH = (
    "The committee met on Tuesday to discuss the new timetable for the harbour ferry. Several "
    "residents asked why the last boat leaves before nine, when the concert hall closes at ten. "
)
RUSSIAN = (
    "Комитет собрался во вторник, чтобы обсудить новое расписание парома. Жители спросили, почему "
    "последний рейс уходит до девяти, если концертный зал закрывается в десять. "
)
CODE = "for index, value in enumerate(values):\n    total += value * weights[index]  # scaled\n"


def main() -> None:
    torch.set_num_threads(1)
    classifiers = EmbeddedClassifiers()
    rows: list[Row] = []
    for name, text in (("English", ENGLISH), ("Russian", RUSSIAN), ("Python", CODE)):
        text = (text * 12)[:1000]
        times, used = [], []
        for _ in range(ROUNDS + 1):
            start, work = perf_counter(), process_time()
            classifiers.score([text], "prompt")
            times.append(1e3 * (perf_counter() - start))
            used.append(1e3 * (process_time() - work))
        rows.append(
            {
                "1,000 characters of": name,
                "CPU ms": statistics.median(used[1:]),
                "clock ms": statistics.median(times[1:]),
                "fastest ms": min(times[1:]),
            }
        )
    write("safety_speed", rows)


if __name__ == "__main__":
    main()
