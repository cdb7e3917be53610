"""A vLLM or SGLang server as a `Sampler`: ids in, ids and log-probs out, our format on both sides.

vLLM's /v1/completions takes ids as the prompt and gives them back with return_token_ids; SGLang's
/generate takes input_ids and gives [log-prob, id] pairs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from tokenizers import Tokenizer

from speciale.agents.http import Server
from speciale.agents.sampler import OnIds, Sample, SamplerError
from speciale.engine.params import SamplingParams

_SHARED = ("temperature", "top_p", "min_p", "presence_penalty", "frequency_penalty")
_FINISH = {"stop": "stop", "length": "length"}


class ServerSampler:
    """Close it when done (`async with` does)."""

    def __init__(
        self,
        url: str,
        *,
        tokenizer: Tokenizer,
        kind: Literal["vllm", "sglang"] = "vllm",
        model: str = "default",
        window: int = 128_000,
        api_key: str | None = None,
    ) -> None:
        """url: as the server prints it, with or without /v1; tokenizer: the served model's."""
        self.tokenizer, self.window = tokenizer, window
        self._kind, self._model = kind, model
        self._server = Server(url.rstrip("/").removesuffix("/v1"), api_key)

    async def __aenter__(self) -> ServerSampler:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self._server.close()

    async def sample(
        self,
        prompt: Sequence[int],
        params: SamplingParams,
        tools: Sequence[Mapping[str, Any]] = (),
        on_ids: OnIds | None = None,
    ) -> Sample:
        if self._kind == "vllm":
            sample = await self._completions(prompt, params)
        else:
            sample = await self._generate(prompt, params)
        if len(sample.logprobs) != len(sample.ids):
            raise SamplerError(
                f"{self._server.url} gave {len(sample.ids)} ids, but {len(sample.logprobs)} "
                "log-probs: its version cannot be used for ids"
            )
        if on_ids is not None and sample.ids:
            on_ids(sample.ids)
        return sample

    async def _completions(self, prompt: Sequence[int], params: SamplingParams) -> Sample:
        body = _settings(params) | {
            "model": self._model,
            "prompt": list(prompt),
            "max_tokens": params.max_tokens or self.window - len(prompt),
            "logprobs": 0,
            "return_token_ids": True,
            # Where a version does not know the line above, ids come as "token_id:7" here.
            "return_tokens_as_token_ids": True,
            "add_special_tokens": False,
            "skip_special_tokens": False,
        }
        if params.seed is not None:
            body["seed"] = params.seed
        answer = await self._server.post("/v1/completions", body)
        try:
            choice = answer["choices"][0]
            logprobs = choice["logprobs"]
            ids = choice.get("token_ids")
            if ids is None:
                ids = [int(token.removeprefix("token_id:")) for token in logprobs["tokens"]]
            finish = _FINISH[choice["finish_reason"]]
            values = [float(value) for value in logprobs["token_logprobs"]]
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise self._odd(error) from error
        details = (answer.get("usage") or {}).get("prompt_tokens_details") or {}
        return Sample(list(ids), values, finish, details.get("cached_tokens") or 0)

    async def _generate(self, prompt: Sequence[int], params: SamplingParams) -> Sample:
        settings = _settings(params) | {
            "max_new_tokens": params.max_tokens or self.window - len(prompt),
            "skip_special_tokens": False,
            "spaces_between_special_tokens": False,
        }
        if params.seed is not None:
            settings["sampling_seed"] = params.seed
        body = {"input_ids": list(prompt), "sampling_params": settings, "return_logprob": True}
        answer = await self._server.post("/generate", body)
        try:
            meta = answer["meta_info"]
            pairs = [(float(pair[0]), int(pair[1])) for pair in meta["output_token_logprobs"]]
            finish = _FINISH[meta["finish_reason"]["type"]]
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise self._odd(error) from error
        version = meta.get("weight_version")
        return Sample(
            [token for _, token in pairs],
            [logprob for logprob, _ in pairs],
            finish,
            meta.get("cached_tokens") or 0,
            [] if version is None else [version] * len(pairs),
        )

    def _odd(self, error: Exception) -> SamplerError:
        return SamplerError(
            f"{self._server.url} does not answer as {self._kind} does ({error!r}): check the kind "
            "and the version of the server"
        )


def _settings(params: SamplingParams) -> dict[str, Any]:
    settings: dict[str, Any] = {name: getattr(params, name) for name in _SHARED}
    if params.top_k:
        settings["top_k"] = params.top_k
    if params.stop:
        settings["stop"] = list(params.stop)
    if params.stop_ids:
        settings["stop_token_ids"] = list(params.stop_ids)
    return settings
