"""A synthetic RL run that looks like one: noisy curves that rise, tool conversations, and texts
that try to be markup."""

import json
import math
import random

EVIL = "\"'></script><img src=x onerror=alert(1)><!--<script>\u2028\u0000\ud800{{1}}"
STEPS, EVERY = 60, 10
DOMAINS = {
    "arithmetic": ["problems/chain_sum", "problems/gcd"],
    "logic": ["problems/letter_counting"],
    "agents": ["starter/lookup-chain", "starter/price-times", "starter/move-items"],
    "search": ["starter/first-slot", "starter/open-document"],
}
NEW = ("starter/move-items", "starter/open-document")  # never trained on


def skill(step, domain):
    """From about 0.3 to 0.75, each domain at its own pace."""
    pace = 12 + 7 * list(DOMAINS).index(domain)
    return 0.3 + 0.45 * (1 - math.exp(-step / pace))


def step_record(step):
    noise = random.Random(step)

    def about(value, share=0.1):
        return value * (1 + noise.gauss(0, share))

    domains = {
        name: {
            "reward": about(skill(step, name)), "score": min(1.0, about(skill(step, name))),
            "tokens": about(30 + 20 * place), "groups": 4,
        }
        for place, name in enumerate(DOMAINS)
    }  # fmt: skip
    score = sum(each["score"] for each in domains.values()) / 4
    return {
        "kind": "step", "step": step, "seconds": 2.6 * step + (step // EVERY) * 4,
        "reward": {"mean": score * 0.97, "outcome": score, "length": -about(0.3)},
        "domains": domains, "score": score,
        "length": {"mean": about(60), "max": about(160), "truncated": about(0.03, 0.5)},
        "entropy": about(1.3 * math.exp(-step / 80), 0.04), "clipped": about(0.012),
        "masked": abs(noise.gauss(0, 0.02)), "kl": about(2e-5 * step), "k3": about(2.4e-5 * step),
        "gap": {"mean": about(1e-6), "max": about(1e-4, 0.4), "kl": about(1e-9)},
        "routing_agreement": 1 - about(0.001, 0.5),
        "staleness": {"mean": about(0.4), "max": noise.choice((1, 2))},
        "groups": {"drawn": 20, "kept": 16, "all_right": 2, "all_wrong": 2, "failed": 0},
        "failures": {"reward": int(step == 31), "sampler": 0, "environment": 0},
        "rate": {"sampled": about(4100, 0.05), "trained": about(5200, 0.05)},
        "phases": {"rollout": about(1.2), "train": about(0.9), "evaluate": 0.0, "update": 0.02},
        "busy": min(1.0, about(0.71)), "lr": 2e-4 * min(1, step / 10), "grad_norm": about(0.3, 0.3),
        "gap_free_routing": {"mean": about(2e-3), "max": about(0.2), "kl": about(1e-5)},
    }  # fmt: skip


def evaluation_record(step):
    rows = []
    for domain, sources in DOMAINS.items():
        for place, source in enumerate(sources):
            for level in (1, 2):
                pass1 = skill(step, domain) * (1 - 0.15 * place) / level**0.6
                pass1 += 0.03 * math.sin(step + place + level)
                rows.append({
                    "domain": domain, "source": source, "level": level, "split": "heldout",
                    "trained": source not in NEW, "n": 50, "k": 8, "pass1": pass1,
                    "passk": min(0.98, pass1 + 0.25), "tokens": 40.0 + 10 * level,
                })  # fmt: skip
    return {"kind": "eval", "step": step, "seconds": 2.6 * step, "rows": rows}


def call(id, name, /, **arguments):
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"id": id, "type": "function", "function": function}


def sample(step, domain, source, number):
    """A conversation at `step`: one call more from step 30 on, and right from then."""
    right = step >= 10 * (number % 5)
    messages = [{"role": "user", "content": f"Where does the boss of Ann {number} live?"}]
    calls = [("boss", "Ann", "Bob"), ("town", "Bob", "Kyoto")][: 1 + (step >= 30)]
    if source.startswith("problems"):
        messages[0]["content"] = f"What is {number} + 7 - 4?"
        calls = []
    for place, (name, of, result) in enumerate(calls):
        id = f"call_{place}"
        messages.append({
            "role": "assistant", "content": "", "reasoning_content": f"the {name} of {of}",
            "tool_calls": [call(id, name, name=of)],
        })  # fmt: skip
        messages.append({"role": "tool", "tool_call_id": id, "content": json.dumps(result)})
    last = {"role": "assistant", "content": "Kyoto" if right else "Oslo",
            "reasoning_content": f"So step {step} says. " * (1 + number % 4 * 6)}  # fmt: skip
    if number == 3:
        last |= {"content": f"{EVIL} answer", "reasoning_content": EVIL}
        messages[0]["content"] = f"Say {EVIL}"
    score = 1.0 if right else 0.5 if number % 3 == 1 else 0.0
    return {
        "step": step, "task": f"{source}#{number}", "domain": domain, "messages": [*messages, last],
        "score": score, "reward": score - 0.07, "parts": {"outcome": score, "length": -0.7},
        "tokens": 31 + number,
    }  # fmt: skip


def samples():
    for step in range(0, STEPS + 1, EVERY):
        for domain, sources in DOMAINS.items():
            for source in sources:
                for number in range(3):
                    yield sample(step, domain, source, number + 1)


def metrics():
    for step in range(STEPS + 1):
        if step:
            yield step_record(step)
        if step % EVERY == 0:
            yield evaluation_record(step)


def write_run(folder):
    """The folder of a whole run, with a line cut off at the end of both files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in (("metrics.jsonl", metrics()), ("samples.jsonl", samples())):
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / name).write_text(text + '{"kind": "step", "ste')
    return folder
