"""Tasks for harnesses with data of their own, and a server that answers them."""

import json
import re
from contextlib import contextmanager

from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from http_server import http_server

YAML = """task: sums
dataset_path: json
dataset_kwargs:
  data_files: {test: DATA}
test_split: test
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: answer
generation_kwargs:
  until: []
  max_gen_toks: 8
metric_list:
  - metric: exact_match
"""
INSPECT = """from inspect_ai import Task, task
from inspect_ai.dataset import FieldSpec, json_dataset
from inspect_ai.scorer import exact
from inspect_ai.solver import generate


@task
def sums():
    data = json_dataset("sums.jsonl", FieldSpec(input="question", target="answer"))
    return Task(dataset=data, solver=generate(), scorer=exact())
"""


def write_tasks(folder, rows):
    """The cells of lm-eval and of Inspect that ask these questions."""
    data = folder / "sums.jsonl"
    data.write_text("".join(json.dumps({"question": q, "answer": a}) + "\n" for q, a in rows))
    (folder / "sums.yaml").write_text(YAML.replace("DATA", json.dumps(str(data))))
    (folder / "sums.py").write_text(INSPECT)
    return {"lm-eval": str(folder / "sums.yaml"), "inspect": f"{folder / 'sums.py'}@sums"}


SUMS = [(f"What is {n} + {3 * n}?", str(4 * n)) for n in range(1, 5)]


class Oracle:
    """Adds the numbers of a question up; `bodies` is what it was asked. `wrong` gives of a question
    what it answers instead, or None."""

    def __init__(self, wrong=lambda question: None):
        self.wrong, self.bodies, self.keys = wrong, [], []

    async def chat(self, request):
        body = await request.json()
        self.bodies.append(body)
        self.keys.append(request.headers.get("authorization"))
        question = body["messages"][-1]["content"]
        instead = self.wrong(question)
        if instead is not None:
            return instead
        return JSONResponse(completion(str(sum(map(int, re.findall(r"\d+", question))))))

    @contextmanager
    def serving(self):
        """Its address up to /v1."""
        app = Starlette(routes=[Route("/v1/chat/completions", self.chat, methods=["POST"])])
        with http_server(app) as url:
            yield url + "/v1"


def completion(text, **more):
    message = {"role": "assistant", "content": text}
    return {
        "id": "1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop", "message": message, **more}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9},
    }
