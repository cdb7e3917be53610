"""The general agent with a model: any OpenAI-compatible chat server writes worlds and tasks.

V3.2 report, 3.2.3: data, tools, a task with solution and verifier, then harder ones. author.py has
the items, climb.py the steps, prompts.py what the model is told (with example.py), workshop.py the
sandbox that it works in (trial.py is a script in there), checks.py finds faults, meter.py counts
what it spends, making.py writes that down, cost.py sums it up.
"""
