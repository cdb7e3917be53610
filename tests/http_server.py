"""An ASGI application that really serves: uvicorn in a thread, on a free port."""

import threading
from contextlib import contextmanager

import uvicorn


@contextmanager
def http_server(app, **options):
    """Its URL, without a slash at the end. `options`: uvicorn's, over quiet ones."""
    options = {"lifespan": "off", "log_level": "error", **options}
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, **options))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        thread.join(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive(), "the server did not stop"
