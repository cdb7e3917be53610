"""The headers of the web pages, a second wall behind their own care with text (W3C, CSP 3, Trusted
Types): scripts, styles and requests of the page's own origin alone, and no frame around it.
"""

from __future__ import annotations

from collections.abc import Mapping

_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self'",
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
    "require-trusted-types-for": "'script'",
    "trusted-types": "'none'",
}


def page_headers(policy: Mapping[str, str] | None = None) -> dict[str, str]:
    """policy: directives of the Content-Security-Policy that a page needs otherwise."""
    directives = _POLICY | dict(policy or {})
    return {
        "Content-Security-Policy": "; ".join(f"{key} {value}" for key, value in directives.items()),
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
        "Cache-Control": "no-cache",  # ask each time: the answer is 304 until the file changes
    }
