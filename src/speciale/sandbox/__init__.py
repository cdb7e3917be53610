"""Where generated code runs: bubblewrap with seccomp and limits, pooled."""

from speciale.sandbox.limits import Limits, Outcome, SandboxError, limit_named
from speciale.sandbox.process import Process
from speciale.sandbox.sandbox import Sandbox, default_sandbox
from speciale.sandbox.session import Session

__all__ = [
    "Limits",
    "Outcome",
    "Process",
    "Sandbox",
    "SandboxError",
    "Session",
    "default_sandbox",
    "limit_named",
]
