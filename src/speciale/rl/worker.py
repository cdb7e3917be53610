"""The engine as a rollout server of its own: a process, on any machine, that RL samples from.

It speaks what SGLang's servers speak to RL (guide "SGLang for RL Systems"): /generate of ids,
weights from a shared folder by /update_weights_from_disk, so rl/servers.py treats it as one of
them. Weights change between two steps of the engine; samples under way go on over them.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import socket
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from speciale.engine.engine import Engine
from speciale.engine.params import SamplingParams
from speciale.engine.request import Completion
from speciale.errors import OverloadedError, RequestError, SpecialeError
from speciale.model import load_model

_FINISH = {"stop": "stop", "length": "length"}


class Worker:
    """The routes around an engine. `version` names its weights, "default" until it is told."""

    def __init__(self, engine: Engine, key: str | None = None) -> None:
        self.engine, self.version = engine, "default"
        routes = [
            Route("/health", self._health),
            Route("/generate", self._generate, methods=["POST"]),
            Route("/update_weights_from_disk", self._update, methods=["POST"]),
            # Nothing to do: new weights come between two steps.
            Route("/pause_generation", self._health, methods=["POST"]),
            Route("/continue_generation", self._health, methods=["POST"]),
        ]
        self.app = Starlette(routes=routes, middleware=[Middleware(_Keyed, key=key)])

    async def _health(self, _request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def _generate(self, request: Request) -> Response:
        try:
            body = await request.json()
            prompt, params = [int(token) for token in body["input_ids"]], _params(body)
        except (KeyError, TypeError, ValueError) as error:
            return _refused(400, f"no request to /generate ({error!r})")
        work = asyncio.ensure_future(self.engine.complete(prompt, params))
        gone = asyncio.ensure_future(_disconnected(request))
        try:
            await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                return Response(status_code=499)  # nobody listens
            [done] = work.result()
            if done.error is not None:
                return _refused(500, done.error)
        except RequestError as error:
            return _refused(400, str(error))
        except OverloadedError as error:
            return _refused(503, str(error))
        finally:
            work.cancel()
            gone.cancel()
        return JSONResponse({"meta_info": self._told(done, body)})

    def _told(self, done: Completion, body: dict[str, Any]) -> dict[str, Any]:
        told: dict[str, Any] = {
            "finish_reason": {"type": _FINISH.get(done.finish_reason, done.finish_reason)},
            "weight_version": self.version,
            "output_token_logprobs": [[p, n, None] for p, n in zip(done.logprobs, done.ids)],
        }
        if body.get("return_routed_experts"):
            experts = done.routing.numpy().astype(np.int32)
            told["routed_experts"] = base64.b64encode(experts.tobytes()).decode()
        return told

    async def _update(self, request: Request) -> Response:
        try:
            body = await request.json()
            folder, version = Path(body["model_path"]), str(body["weight_version"])
        except (KeyError, TypeError, ValueError) as error:
            return _refused(400, f"no request to /update_weights_from_disk ({error!r})")
        try:
            model = await asyncio.to_thread(load_model, folder)
            await self.engine.update_weights(model.state_dict(), recompute=True)
        except SpecialeError as error:  # the old weights stay
            return JSONResponse({"success": False, "message": str(error)})
        self.version = version
        return JSONResponse({"success": True, "message": ""})


class _Keyed:
    """Refuses who does not bring the key, if there is one."""

    def __init__(self, app: ASGIApp, key: str | None) -> None:
        self.app, self._key = app, key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._key and scope["type"] == "http":
            brought = dict(scope["headers"]).get(b"authorization", b"")
            if not hmac.compare_digest(brought, f"Bearer {self._key}".encode()):
                await _refused(401, "the key is missing or wrong")(scope, receive, send)
                return
        await self.app(scope, receive, send)


def _params(body: dict[str, Any]) -> SamplingParams:
    given = body["sampling_params"]
    names = ("temperature", "top_p", "top_k", "min_p", "presence_penalty", "frequency_penalty")
    return SamplingParams(
        max_tokens=int(given["max_new_tokens"]),
        seed=given.get("sampling_seed"),
        stop=tuple(given.get("stop") or ()),
        stop_ids=tuple(given.get("stop_token_ids") or ()),
        routing=bool(body.get("return_routed_experts")),
        **{name: given[name] for name in names if name in given},
    )


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _refused(status: int, why: str) -> Response:
    return Response(json.dumps({"error": why}), status, media_type="application/json")


def serve_rollouts(folder: Path, host: str, port: int, key: str | None, running: int) -> None:
    """Serves until it is stopped. `folder`: a run or model folder, for shape and tokenizer."""
    engine = Engine.open(folder, max_sequences=running, speculate=False, max_waiting=1 << 20)
    worker = Worker(engine, key)
    with socket.create_server((host, port)) as listening:
        address, taken = listening.getsockname()[:2]
        print(f"rollouts of {folder} on http://{address}:{taken}", flush=True)
        config = uvicorn.Config(worker.app, log_level="warning")
        uvicorn.Server(config).run(sockets=[listening])
