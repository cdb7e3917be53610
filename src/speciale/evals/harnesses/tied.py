"""A program of its own: runs a command for as long as whoever started it lives.

Its standard input is a pipe that closes when the starter is gone, even by `kill -9`: a harness that
asks nobody, or a model's server, would else stay behind. Stands alone, so that it starts at once.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

_PATIENCE_S = 8.0


def main() -> None:
    process = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)

    def end(*_: object) -> None:
        process.terminate()
        force = threading.Timer(_PATIENCE_S, process.kill)
        force.daemon = True
        force.start()

    def watch() -> None:
        while os.read(0, 1 << 10):  # sys.stdin's lock would not let a program end
            pass
        end()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, lambda *_: None)  # the command hears of it by itself
    threading.Thread(target=watch, daemon=True).start()
    status = process.wait()
    sys.exit(status if status >= 0 else 128 - status)


if __name__ == "__main__":
    main()
