"""A server in a process of its own, and a client that costs little, for the service's figures."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

SECRET = "sk-benchmark-0123456789abcdef"


class Server:
    """`speciale serve` with `arguments`; its database lies in `folder`."""

    def __init__(self, folder: Path, *arguments: str, port: int | None = None) -> None:
        self.port = port or _free_port()
        self.database = folder / "speciale.db"
        self._log = (folder / "server.log").open("ab")
        command = [
            sys.executable, "-c", "from speciale.cli import main; main()", "serve", *arguments,
            "--port", str(self.port), "--database", f"sqlite:///{self.database}",
        ]  # fmt: skip
        environment = {**os.environ, "SPECIALE_API_KEY": SECRET, "SPECIALE_LOG_LEVEL": "warning"}
        self.process = subprocess.Popen(
            command, env=environment, stdout=self._log, stderr=self._log, cwd=folder
        )
        for _ in range(1200):
            if self.process.poll() is not None:
                raise SystemExit(f"the server ended: see {folder / 'server.log'}")
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.1)
        raise SystemExit("the server did not start within two minutes")

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)
        self._log.close()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self._log.close()

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def memory_mb(self) -> float:
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def metric(self, name: str) -> float:
        text = asyncio.run(get(self.port, "/metrics"))
        return sum(
            float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name)
        )


async def stream(
    port: int, words: int, leave_after: int | None = None, model: str = "null", seed: int = 0
) -> dict:
    """One streamed answer: chunks, seconds to the first and in all, usage; `done` where it came to
    its end. Leaves after so many chunks. `id` is set as soon as a chunk has come.
    """
    told: dict = {"chunks": 0, "first_s": None, "usage": None, "done": False, "id": None}
    body = json.dumps(
        {
            "model": model, "stream": True, "stream_options": {"include_usage": True},
            # So hot that a small model seldom ends by itself.
            "max_tokens": words, "seed": seed, "temperature": 2,
            "messages": [{"role": "user", "content": "Write some words"}],
        }
    )  # fmt: skip
    begun = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(_head("POST", "/v1/chat/completions", len(body)) + body.encode())
        async for line in reader:
            if not line.startswith(b"data: "):
                if line.startswith(b"HTTP/1.1 ") and b" 200 " not in line:
                    raise SystemExit(f"the server answered {line!r}")
                continue
            told["first_s"] = told["first_s"] or time.perf_counter() - begun
            if line.startswith(b"data: [DONE]"):
                told["done"], told["seconds"] = True, time.perf_counter() - begun
                return told
            told["chunks"] += 1
            if told["id"] is None:
                told["id"] = json.loads(line[6:])["id"]
            if b'"usage":{' in line:
                told["usage"] = json.loads(line[6:])["usage"]
            if leave_after is not None and told["chunks"] >= leave_after:
                return told
        return told
    except ConnectionError:
        return told
    finally:
        writer.close()


async def get(port: int, path: str) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(_head("GET", path, 0))
    text = (await reader.read()).decode()
    writer.close()
    return text


def _head(method: str, path: str, length: int) -> bytes:
    return (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {SECRET}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    ).encode()


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]
