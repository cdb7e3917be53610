"""The forms of the sandbox, best first: bubblewrap; Landlock with seccomp, for where namespaces are
forbidden; and only where the caller says `unsafe`, a plain folder with limits.
"""

from __future__ import annotations

import contextlib
import platform
import re
from collections.abc import Sequence

from speciale.sandbox import bubblewrap, layout, wire
from speciale.sandbox.jail import Jail
from speciale.sandbox.limits import DEFAULT, SandboxError
from speciale.sandbox.place import Place

FORMS = ("bubblewrap", "landlock")
KERNEL = (5, 14)  # counts a user's processes by namespace from then on


def make(forms: Sequence[str], unsafe: bool, warm: int) -> Jail:
    """The first of `forms` that works; SandboxError says why each did not."""
    troubles = []
    for form in forms:
        try:
            return _checked(form, warm)
        except (SandboxError, OSError) as error:
            troubles.append(f"{form}: {error}")
    if unsafe:
        return Jail("unsafe", warm)
    raise SandboxError(
        f"No sandbox can be had here, so nothing was run ({'; '.join(troubles)}). "
        "Install bubblewrap (apt-get install bubblewrap), allow user namespaces, or accept with "
        "--unsafe that generated code can do all that you can."
    )


def _checked(form: str, warm: int) -> Jail:
    system, release = platform.system(), platform.release()
    if system != "Linux" or _numbers(release) < KERNEL:
        needed = ".".join(map(str, KERNEL))
        raise SandboxError(f"it needs Linux {needed}, and this is {system} {release}")
    if form == "landlock":
        from speciale.sandbox.inside import landlock

        if (version := landlock.version()) < landlock.NEEDED:
            raise SandboxError(
                f"the kernel's version of it is {version}, and {landlock.NEEDED} is needed "
                "(Linux 6.12)"
            )
        if bubblewrap.has_nobody() and (closed := layout.closed_to_others(ancestors=True)):
            raise SandboxError(f"other users cannot enter {closed}")
    jail = Jail(form, warm)
    try:
        _try(jail)
    except BaseException:
        jail.close()
        raise
    return jail


def _try(jail: Jail) -> None:
    """Goes through all that a command goes through: a system may forbid any of it."""
    place, ends = Place(jail), jail.take()
    try:
        ends.control.settimeout(bubblewrap.START_S)
        said = b""
        with contextlib.suppress(ConnectionError):  # a cell that could not be made says why
            ends.control.sendall(wire.packed(place.request([], DEFAULT), {}))
        with contextlib.suppress(ConnectionError):
            while piece := ends.control.recv(65536):
                said += piece
        if wire.report(said)["exit_code"]:
            raise SandboxError((ends.stderr.read() or b"").decode(errors="replace").strip())
    finally:
        ends.close()
        place.close()


def _numbers(release: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", release)[:2])
