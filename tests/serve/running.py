"""A service that really runs: uvicorn on its own port, SQLite in a folder, a scripted model."""

import asyncio
import re
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from http_server import http_server
from speciale.chat import Prompt
from speciale.safety.filter import ContentFilter
from speciale.safety.policy import Policy
from speciale.safety.verdict import Scores
from speciale.serve.accounts import Accounts, Database
from speciale.serve.accounts.keys import create_key, top_up
from speciale.serve.accounts.prices import NANO, Prices
from speciale.serve.app import make_app
from speciale.serve.backends.reading import read_pieces
from speciale.serve.backends.seam import TextPiece, TokenLogprob
from speciale.serve.config import Limits, PriceTable
from speciale.serve.deployments import Deployment
from speciale.serve.protocol import BoundedProtocol
from speciale.serve.service import Service

OFF = Policy(enabled=False)
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


class Scripted:
    """Writes `text` token by token (words with the space after them), whatever the prompt is.

    `delay_s` before the first token and between tokens; `jobs` keeps what was asked; `cancelled`
    counts runs that were closed before their end. `cut` ends a run after so many tokens as a
    failing engine would.
    """

    def __init__(self, text="Hello there, friend.", delay_s=0.0, context=128_000, cut=None):
        self.text, self.delay_s, self.context, self.cut = text, delay_s, context, cut
        self.jobs, self.cancelled = [], 0
        self.error = None  # raised before the first piece
        self.split = words  # into tokens

    async def start(self):
        pass

    async def close(self):
        pass

    async def ready(self):
        return None

    def tokens(self, prompt):
        text = prompt.text if isinstance(prompt, Prompt) else prompt
        return list(range(len(words(text))))

    async def run(self, job):
        self.jobs.append(job)
        if self.error is not None:
            raise self.error
        done = False
        try:
            async for piece in read_pieces(job, self._texts(job)):
                yield piece
            done = True
        finally:
            self.cancelled += not done

    async def _texts(self, job):
        tokens = self.split(self.text)
        limit = min(len(tokens), job.max_tokens)
        for choice in range(job.n):
            for place, token in enumerate(tokens[:limit]):
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                if place == self.cut:
                    yield TextPiece(choice, finish="insufficient_system_resource")
                    break
                logprobs = [TokenLogprob(token, -0.5, [(token, -0.5), ("x", -1.5)])]
                wanted = job.body.get("logprobs") not in (None, False)
                yield TextPiece(choice, token, 1, logprobs if wanted else [])
            else:
                finish = "stop" if limit == len(tokens) else "length"
                yield TextPiece(choice, finish=finish, cached_tokens=min(2, len(job.ids)))


class Words:
    """Classifiers that know a word for each finding: "brutal" is violence of medium severity."""

    def score(self, texts, attacks):
        return [
            Scores(
                {
                    "hate": 0, "sexual": 0, "self_harm": 0,
                    "violence": 4 if "brutal" in text else 0,
                },
                attacks == "prompt" and "jailbreak" in text,
                attacks == "document" and "obey" in text,
                "darn" in text,
            )
            for text in texts
        ]  # fmt: skip


def words(text):
    return re.findall(r"</think>|(?:(?!</think>)\S)+\s*|\s+", text)


@dataclass
class Running:
    url: str  # without /v1
    secret: str | None
    service: Service
    database: str

    def headers(self):
        return {"Authorization": f"Bearer {self.secret}"}

    def post(self, path="/v1/chat/completions", **body):
        """A request that asks the only model, unless told otherwise."""
        body = {"model": self.service.deployments[0].name, **body}
        if "chat" in path:
            body.setdefault("messages", [{"role": "user", "content": "Good morning"}])
        return httpx.post(self.url + path, json=body, headers=self.headers(), timeout=30)

    def get(self, path):
        return httpx.get(self.url + path, headers=self.headers(), timeout=30)


@contextmanager
def running(
    folder, backend, *, policy=OFF, classifiers=None, limits=None, key=None, balance=10, auth=True,
    **deployment,
):  # fmt: skip
    """A running service with one deployment, "small", and a key with `balance` dollars."""
    url = f"sqlite:///{folder / 'speciale.db'}"
    database = Database(url)
    made, secret = create_key(database, "tester", key or {})
    if balance:
        made = top_up(database, "tester", int(balance * NANO))
    database.close()
    deployment = {"aliases": {"small-thinks": True}, **deployment}
    service = Service(
        [Deployment("small", backend, ContentFilter(policy, classifiers), **deployment)],
        Accounts.open(url, Prices()),
        limits or Limits(),
        {"small": PriceTable()},
        None if auth else made,
    )
    with http_server(
        make_app(service), http=BoundedProtocol, ws="none", log_config=None, lifespan="on",
        timeout_graceful_shutdown=5,
    ) as address:  # fmt: skip
        yield Running(address, secret if auth else None, service, url)
