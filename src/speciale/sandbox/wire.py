"""What goes over a cell's control socket: a request in, with the files to lay, and a report out."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import Mapping
from typing import Any

from speciale.sandbox.ends import Ends
from speciale.sandbox.limits import SandboxError
from speciale.sandbox.place import Place


async def begin(place: Place, request: Mapping[str, Any], files: Mapping[str, bytes]) -> Ends:
    """Hands a cell its request."""
    ends = place.jail.take()
    data = packed(request, files)
    try:
        with contextlib.suppress(ConnectionError):  # the report says why
            socket.send_fds(ends.control, [data[:4]], place.shared)
            await asyncio.get_running_loop().sock_sendall(ends.control, data[4:])
    except BaseException:
        ends.close()
        raise
    place.jail.prepare()
    return ends


def packed(request: Mapping[str, Any], files: Mapping[str, bytes]) -> bytes:
    """A length, that much JSON, and the contents of `files`, whose names and sizes the JSON has."""
    sizes = [(name, len(data)) for name, data in files.items()]
    text = json.dumps({**request, "files": sizes}).encode()
    return b"".join([struct.pack("!I", len(text)), text, *files.values()])


def report(said: bytes) -> dict[str, Any]:
    """{"exit_code": int, "stopped": str | None}; SandboxError where the cell did not say so."""
    try:
        found = json.loads(said)
    except ValueError:
        found = {"error": "its process ended early"}
    if "error" in found:
        raise SandboxError(f"the sandbox could not run a command: {found['error']}")
    return found
