"""What a finished run can do: problems held out from training, attention forms, what a token costs,
samples.

Accuracy is greedy decoding scored by reasoning-gym's own scorers (full marks only). Beside it stand
the untrained copy, the same model at its initialisation, and what always giving the family's most
frequent answer would score.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from itertools import islice

import torch

from speciale.chat import THINK_CLOSE, encode_ids
from speciale.chat.tokenizer import load_tokenizer
from speciale.engine.bench import token_costs
from speciale.engine.llm import LLM
from speciale.engine.params import SamplingParams
from speciale.files import write_atomic
from speciale.model import Transformer
from speciale.tasks import Problem, docstring_questions, problems, score
from speciale.train.progress import Task, task
from speciale.train.run import Run
from speciale.train.stages import stage_model, valid_loss

_SAMPLES_PER_FAMILY = 1
_FIRST_POSITION = 128  # of a token whose cost is measured; then twice as far each
_MODES = ("chat", "thinking")


def evaluate(run: Run, model: Transformer) -> None:
    """Writes the run's results.json, unless it is there."""
    path = run.folder / "results.json"
    if path.exists():
        return
    tokenizer = load_tokenizer(run.data)
    untrained = Transformer(run.config).eval()
    untrained.initialise(run.recipe.seed)
    trained = LLM(model, tokenizer)
    results = {"attention": _attention(run), "token_cost": token_cost(model)}
    held_out = _held_out(run)
    count = sum(len(found) for found in held_out.values())
    with task("held-out problems", 2 * len(_MODES) * count) as progress:
        results["problems"], samples = _problems(
            run, trained, LLM(untrained, tokenizer), held_out, progress
        )
    samples += _docstring_samples(run, trained)
    write_atomic(path, json.dumps({**results, "samples": samples}, indent=2, ensure_ascii=False))


def _attention(run: Run) -> dict:
    """Held-out loss of the sparse-trained model with each form of attention."""
    model = stage_model(run, "sparse")
    with task("dense, sparse, window", 3) as progress:
        losses = {}
        for attention in ("dense", "sparse", "window"):
            losses[attention] = valid_loss(run, model, attention)
            progress.advance(1, f"{attention} {losses[attention]:.3f}")
    context = run.recipe.data.context
    tokens = run.recipe.evaluation.valid_sequences * context
    return {"context": context, "k": run.config.index_topk, "loss": losses, "tokens": tokens}


def token_cost(model: Transformer) -> dict:
    """Seconds of a decoded token at positions up to the model's last, sparse and dense.

    On one thread: several wait for each other at every layer of a small model, and where the
    machine has other work to do that is all that would be measured.
    """
    most = model.config.max_position_embeddings
    positions = [1 << n for n in range(most.bit_length()) if _FIRST_POSITION <= 1 << n <= most]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with task("token cost, sparse and dense"):
            costs = token_costs(model, positions)
    finally:
        torch.set_num_threads(threads)
    rows = [dict(zip(("position", "sparse", "dense"), each)) for each in costs]
    return {"k": model.config.index_topk, "threads": 1, "rows": rows}


def _held_out(run: Run) -> dict[str, list[Problem]]:
    """The first distinct held-out problems of each family."""
    wanted = run.recipe.evaluation.problems_per_family
    found: dict[str, list[Problem]] = {}
    for family, level in run.recipe.data.families.items():
        draws = problems({family: level}, run.recipe.seed, "heldout")
        distinct = {p.question: p for p in islice(draws, 2 * wanted)}
        found[family] = list(distinct.values())[:wanted]
    return found


def constant_accuracy(run: Run, family: str, found: list[Problem]) -> float:
    """Share of problems that the family's most frequent training answer solves."""
    draws = problems({family: run.recipe.data.families[family]}, run.recipe.seed, "train")
    [(answer, _)] = Counter(problem.answer for problem in islice(draws, 500)).most_common(1)
    return sum(score(problem, answer) == 1.0 for problem in found) / len(found)


def answers(
    llm: LLM,
    questions: list[str],
    mode: str,
    max_new_tokens: int,
) -> Iterator[tuple[int, str, str]]:
    """Yields (index, reasoning, content) of greedy answers to single questions."""
    prompts = [encode_ids(llm.tokenizer, [{"role": "user", "content": q}], mode) for q in questions]
    greedy = [
        SamplingParams(temperature=0, max_tokens=min(max_new_tokens, llm.core.context - len(ids)))
        for ids in prompts
    ]
    for index, completion in llm.as_finished(prompts, greedy, progress=False):
        text = completion.text
        if mode == "thinking":
            reasoning, _, content = text.partition(THINK_CLOSE)
            yield index, reasoning, content
        else:
            yield index, "", text


def _problems(
    run: Run,
    trained: LLM,
    untrained: LLM,
    held_out: dict[str, list[Problem]],
    progress: Task,
) -> tuple[list[dict], list[dict]]:
    limit = run.recipe.evaluation.max_new_tokens
    rows, samples = [], []
    for family, found in held_out.items():
        questions = [problem.question for problem in found]
        constant = constant_accuracy(run, family, found)
        for mode in _MODES:
            row = {"family": family, "level": run.recipe.data.families[family], "mode": mode}
            for who, candidate in (("trained", trained), ("untrained", untrained)):
                right = 0
                for index, reasoning, content in answers(candidate, questions, mode, limit):
                    right += score(found[index], content) == 1.0
                    progress.advance(1, f"{family} {mode} {who}")
                    if who == "trained" and index < _SAMPLES_PER_FAMILY:
                        samples.append(
                            {
                                "mode": mode,
                                "prompt": questions[index],
                                "reasoning": reasoning,
                                "content": content,
                                "expected": found[index].answer,
                            }
                        )
                row[who] = right / len(found)
            rows.append({**row, "constant": constant, "n": len(found)})
    return rows, samples


def _docstring_samples(run: Run, llm: LLM) -> list[dict]:
    pairs = list(islice(docstring_questions(run.recipe.seed, "heldout"), 3))
    limit = run.recipe.evaluation.max_new_tokens
    return [
        {
            "mode": "chat",
            "prompt": pairs[index][0],
            "reasoning": "",
            "content": content,
            "expected": pairs[index][1],
        }
        for index, _, content in answers(llm, [q for q, _ in pairs], "chat", limit)
    ]
