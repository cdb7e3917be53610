"""`LLM`: the engine for a script: prompts in, completions out, nothing async.

All requests of a call run side by side in the continuous batch (arXiv 2309.06180's idea of an
engine; V3.2's own attention below it).
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from tokenizers import Tokenizer

from speciale.chat.ids import parts_to_ids
from speciale.chat.tokenizer import load_tokenizer
from speciale.engine.core import Core, EngineOptions
from speciale.engine.params import SamplingParams
from speciale.engine.request import Completion, Update
from speciale.errors import CheckpointError, RequestError
from speciale.model import Transformer, load_model

Prompt = str | list[int]


@dataclass
class Output:
    """The samples of one prompt."""

    prompt_ids: list[int]
    completions: list[Completion]

    @property
    def ids(self) -> list[int]:
        return self.completions[0].ids

    @property
    def text(self) -> str:
        return self.completions[0].text


def model_folder(folder: str | Path) -> Path:
    """Where the model of a run or of an HF-layout folder lies."""
    folder = Path(folder)
    return folder if (folder / "config.json").exists() else folder / "model"


def load_core(folder: str | Path, options: EngineOptions) -> Core:
    """The engine's core for a run or an HF-layout folder; without a tokenizer it works on ids."""
    check_device(options.device)
    dtype = torch.float32 if options.device == "cpu" else torch.bfloat16
    model = placed(load_model(folder, dtype), options.device)
    folder = model_folder(folder)
    tokenizer = None
    if (folder / "tokenizer.json").exists():
        tokenizer = load_tokenizer(folder)
        # Settings for batches of training, which some files carry, would pad or cut a prompt.
        tokenizer.no_padding()
        tokenizer.no_truncation()
        check_fit(tokenizer, model, folder)
    return Core(model, tokenizer, options)


def check_device(device: str) -> None:
    """RequestError where a model cannot be put there."""
    gpus = torch.cuda.device_count()
    known = ["cpu", *(["cuda"] if gpus else []), *(f"cuda:{n}" for n in range(gpus))]
    if device not in known:
        raise RequestError(
            f"there is no device {device!r} for PyTorch {torch.__version__} here: give one of "
            f"{', '.join(known)}"
        )


def placed(model: Transformer, device: str) -> Transformer:
    """The model on a device: its weights in bfloat16 on a GPU, its buffers in float32 anywhere."""
    if device != "cpu":
        for parameter in model.parameters():
            parameter.data = parameter.data.to(torch.bfloat16)
    return model.to(device)


def check_fit(tokenizer: Tokenizer, model: Transformer, folder: Path) -> None:
    """CheckpointError where the tokenizer has ids that the model lacks."""
    largest = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)
    if largest >= model.config.vocab_size:
        raise CheckpointError(
            f"{folder / 'tokenizer.json'} has token ids up to {largest}, but the model's "
            f"vocab_size is {model.config.vocab_size}: copy model and tokenizer again from one "
            "place"
        )


class LLM:
    """Generates with a model in this process.

    >>> LLM("runs/laptop").generate(["1 + 1 ="], SamplingParams(temperature=0, max_tokens=8))
    """

    def __init__(
        self,
        model: str | Path | Transformer,
        tokenizer: Tokenizer | None = None,
        **options,
    ) -> None:
        """model: a run, an HF-layout folder, or a model (then with its tokenizer, if text is
        wanted); options: those of `EngineOptions`."""
        if isinstance(model, Transformer):
            self.core = Core(model, tokenizer, EngineOptions(**options))
        else:
            self.core = load_core(model, EngineOptions(**options))
        self.tokenizer = self.core.tokenizer

    def generate(
        self,
        prompts: Prompt | list[Prompt],
        params: SamplingParams | list[SamplingParams] | None = None,
        progress: bool | None = None,
    ) -> list[Output]:
        """One `Output` for each prompt (text or ids), in order.

        params: for all, or one a prompt; progress: a bar on standard error, by default where that
        is a terminal. RequestError for what can never be served; a sample that fails on the way
        has finish_reason "error".
        """
        prompts = self._several(prompts)
        outputs = [Output(self.encode(prompt), []) for prompt in prompts]
        for index, completion in self.as_finished(
            [o.prompt_ids for o in outputs], params, progress
        ):
            outputs[index].completions.append(completion)
        for output in outputs:
            output.completions.sort(key=lambda completion: completion.index)
        return outputs

    def as_finished(
        self,
        prompts: list[list[int]],
        params: SamplingParams | list[SamplingParams] | None = None,
        progress: bool | None = None,
    ) -> Iterator[tuple[int, Completion]]:
        """Yields (place of the prompt, completion) as the samples end; arguments as `generate`."""
        if not isinstance(params, list):
            params = [params or SamplingParams()] * len(prompts)
        if len(params) != len(prompts):
            raise RequestError(
                f"there are {len(prompts)} prompts but {len(params)} SamplingParams: give one for "
                "all, or one for each"
            )
        owner: dict[int, int] = {}  # sample -> place of its prompt
        left = deque(zip(range(len(prompts)), prompts, params))
        try:
            with _Bar(self.core, progress) as bar:
                while left or owner:
                    self._admit(left, owner)
                    for update in self.core.step():
                        bar.add(update)
                        if update.completion is not None and update.request in owner:
                            yield owner.pop(update.request), update.completion
                    bar.show()
        finally:
            for number in owner:
                self.core.cancel(number)

    def _admit(self, left: deque, owner: dict[int, int]) -> None:
        """Queues as many of the requests that are left as the queue has room for."""
        room = self.core.options.max_waiting - len(self.core.scheduler.waiting)
        while left and (left[0][2].n <= room or not owner):
            place, prompt, params = left.popleft()
            owner.update(dict.fromkeys(self.core.add(prompt, params), place))
            room -= params.n

    def stream(self, prompt: Prompt, params: SamplingParams | None = None) -> Iterator[Update]:
        """The updates of one prompt as they come; leaving the loop cancels it."""
        open_ = set(self.core.add(self.encode(prompt), params or SamplingParams()))
        try:
            while open_:
                for update in self.core.step():
                    if update.request in open_:
                        if update.completion is not None:
                            open_.discard(update.request)
                        yield update
        finally:
            for number in open_:
                self.core.cancel(number)

    def encode(self, prompt: Prompt) -> list[int]:
        """The ids of a prompt; ids are taken as they are."""
        if not isinstance(prompt, str):
            return list(prompt)
        if self.tokenizer is None:
            raise RequestError("this model has no tokenizer: give token ids")
        return parts_to_ids(self.tokenizer, [prompt], marks_in_text=True)

    def _several(self, prompts: Prompt | list[Prompt]) -> list[Prompt]:
        if isinstance(prompts, str) or (prompts and isinstance(prompts[0], int)):
            return [prompts]
        return list(prompts)


class _Bar:
    """Prompt tokens read and tokens written, with the time that is left."""

    def __init__(self, core: Core, wanted: bool | None) -> None:
        shown = sys.stderr.isatty() if wanted is None else wanted
        self._core, self._written = core, 0
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not shown,
            transient=True,
        )
        self._task = self._progress.add_task("generating", total=None, figures="")

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *_exception) -> None:
        self._progress.stop()

    def add(self, update: Update) -> None:
        self._written += len(update.ids)

    def show(self) -> None:
        if self._progress.disable:
            return
        live = list(self._core.requests.values())
        prompt = sum(request.sequence.prompt_length for request in live)
        read = sum(min(r.sequence.computed, r.sequence.prompt_length) for r in live)
        room = sum(request.left for request in live)
        self._progress.update(
            self._task,
            completed=read + self._written,
            total=prompt + self._written + room,
            figures=f"prompt {read:,}/{prompt:,} tokens, {self._written:,} written",
        )
