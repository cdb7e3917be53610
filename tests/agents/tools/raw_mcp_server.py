"""An MCP server of plain Python that misbehaves as its tools say: `python raw_mcp_server.py`.

Lines of JSON on stdin and stdout (MCP 2025-11-25); nothing of the SDK, so that it can say anything.
"""

import json
import os
import sys
import time

OBJECT = {"type": "object", "properties": {}}
NAMES = [
    "good", "image", "resources", "structured", "failed", "odd.name/here", "odd name here", "hang",
    "die", "huge", "endless", "nonsense", "wrong_shape", "wrong_id", "rpc_error", "grow", "stdout",
    "environment", "half", "deaf",
]  # fmt: skip
PICTURE = {"type": "image", "data": "QUJD" * 400, "mimeType": "image/png"}
LINK = {"type": "resource_link", "uri": "file:///a", "name": "a", "description": "the file"}
TEXT = {"type": "resource", "resource": {"uri": "file:///b", "text": "inside b"}}
BLOB = {"type": "resource", "resource": {"uri": "file:///c", "blob": "QUJD"}}


def say(message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def said(text, **more):
    return {"content": [{"type": "text", "text": text}], **more}


def call(number, name, arguments):
    """The result, or None where the tool has said something itself."""
    results = {
        "good": said(f"good {json.dumps(arguments)} {os.getpid()}"),
        "image": {"content": [PICTURE, {"type": "text", "text": "a picture"}]},
        "resources": {"content": [LINK, TEXT, BLOB]},
        "structured": {"content": [], "structuredContent": {"a": [1, "ä"]}},
        "failed": said("no luck", isError=True),
        "odd.name/here": said("dots"),
        "odd name here": said("spaces"),
        "environment": said(json.dumps(dict(os.environ))),
        "wrong_shape": {"content": "just a text"},
    }
    if name in results:
        return results[name]
    if name in ("hang", "deaf"):
        if name == "deaf":  # to everything that comes after as well
            time.sleep(600)
    elif name == "die":
        sys.stderr.write("a secret of the server's\n")
        sys.stderr.flush()
        os._exit(7)
    elif name == "half":
        sys.stdout.write('{"jsonrpc": "2.0", "id":')
        sys.stdout.flush()
        os._exit(0)
    elif name == "huge":
        return said("x" * 100_000_000)
    elif name == "endless":
        while True:
            sys.stdout.write("x" * 1_000_000)
    elif name == "nonsense":
        sys.stdout.write(f'{{"jsonrpc": "2.0", "id": {number}, "result": [[[\n')
        sys.stdout.flush()
    elif name == "wrong_id":
        say({"id": number + 1000, "result": said("not yours")})
    elif name == "rpc_error":
        say({"id": number, "error": {"code": -32602, "message": "bad arguments, says the server"}})
    elif name == "stdout":
        sys.stdout.write("a log line on the wrong stream\n\n[]\n{}\n")
        return said("logged")
    elif name == "grow":
        NAMES.append("grown")
        say({"method": "notifications/tools/list_changed"})
        return said("grew")
    elif name == "grown":
        return said("new")
    return None


def main():
    if "--refuse" in sys.argv:
        sys.exit("SETTING is missing: set it")
    if "--silent" in sys.argv:
        time.sleep(600)
    for line in sys.stdin:
        request = json.loads(line)
        number, method = request.get("id"), request.get("method")
        if number is None:
            continue
        result = {}
        if method == "initialize":
            about = {"name": "raw server", "version": "1"}
            version = request["params"]["protocolVersion"]
            result = {"protocolVersion": version, "serverInfo": about}
            result["capabilities"] = {"tools": {"listChanged": True}}
        elif method == "tools/list":
            # In two pages.
            second = bool((request.get("params") or {}).get("cursor"))
            names = NAMES[10:] if second else NAMES[:10]
            result = {"tools": [{"name": name, "inputSchema": OBJECT} for name in names]}
            if not second:
                result["nextCursor"] = "more"
        elif method == "tools/call":
            result = call(number, request["params"]["name"], request["params"].get("arguments"))
        if result is not None:
            say({"id": number, "result": result})


if __name__ == "__main__":
    main()
