"""Text within text: escapes of URLs, JSON, C and HTML resolved, base64 and hex runs decoded.
Anything decodes to something; only what comes out as mostly readable text counts."""

from __future__ import annotations

import binascii
import html
import re
from collections.abc import Iterator

from speciale.safety.normalise import View, replaced

LONGEST_RUN = 65536  # characters of one run that are decoded

_ESCAPE = re.compile(
    r"(?P<url>(?:%[0-9a-f]{2})+)"
    r"|(?P<utf16>(?:\\u[0-9a-f]{4})+)"
    r"|(?P<point>\\u\{[0-9a-f]{1,6}\}|\\U[0-9a-f]{8})"
    r"|(?P<byte>(?:\\x[0-9a-f]{2})+)"
    r"|(?P<octal>\\[0-7]{3})"
    r"|(?P<letter>\\[\"'/\\nrtbf])"
    r"|(?P<html>&(?:#\d{1,7}|#x[0-9a-f]{1,6}|[a-z][a-z0-9]{1,31});?)"
    r"|(?P<tags>[\U000E0020-\U000E007E]+)",  # an invisible copy of ASCII, which models read
    re.IGNORECASE,
)
_SIGNS = re.compile(r"[%\\&\U000E0020-\U000E007E]")
_HEX = re.compile(r"(?:(?:0x|\\x)?[0-9a-fA-F]{2}[\s,:]{0,2}){4,}")
# Of any two bytes of a text in a row, one has a digit in it: cheaper to look for than a run.
_HEX_HINT = re.compile(r"[0-9](?:[\s,:]{0,2}(?:0x|\\x)?[0-9a-fA-F]){4}")
_NOT_HEX = re.compile(r"0x|[^0-9a-f]", re.IGNORECASE)
# Wrapped lines are one run, but a word on the line before is not part of it: both are tried.
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{2,}(?:\r?\n[A-Za-z0-9+/_-]{2,})*")
_PART = re.compile(r"[A-Za-z0-9]{6,}")
_URL_SAFE = str.maketrans("-_", "+/", "\r\n")
_ZERO_WIDTH = re.compile("[\u00ad\u200b-\u200f\u2060-\u2064\ufeff]+")


def unescaped(view: View) -> View | None:
    """The text with its escapes resolved, incomplete ones left; None where there are none."""
    if not _SIGNS.search(view.text):
        return None
    result = replaced(view, _ESCAPE, _resolve)
    return None if result.text == view.text else result


def unescape_json(text: str) -> str:
    """The text of JSON, also of a part of it, with the escapes of its strings resolved."""
    return _JSON_ESCAPE.sub(_resolve, text) if "\\" in text else text


_JSON_ESCAPE = re.compile(r"(?P<utf16>(?:\\u[0-9a-fA-F]{4})+)|(?P<letter>\\[\"/\\nrtbf])")


def decoded_pieces(view: View) -> View | None:
    """What the base64 and hex runs say, one a line; each character comes from its whole run."""
    if not view.text.isascii() and _ZERO_WIDTH.search(view.text):
        view = replaced(view, _ZERO_WIDTH, lambda match: "")
    parts: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for a, b, text in runs(view.text):
        parts.append(text)
        starts += [view.starts[a]] * (len(text) + 1)
        ends += [view.ends[b - 1]] * (len(text) + 1)
    return View("\n".join(parts) + "\n", starts, ends) if parts else None


def runs(text: str) -> Iterator[tuple[int, int, str]]:
    """(start, end, what it says) of each base64 and hex run that says something."""
    for match in _BASE64.finditer(text):
        run = match[0]
        if len(run) >= 6 and not _is_word(run):
            whole = run.translate(_URL_SAFE)
            for said in _base64(whole):
                yield *match.span(), said
            if len(whole) != len(run) or not run.isalnum():
                for part in _PART.finditer(run):
                    for said in _base64(part[0]):
                        yield match.start() + part.start(), match.start() + part.end(), said
    for match in _HEX.finditer(text) if _HEX_HINT.search(text) else ():
        digits = _NOT_HEX.sub("", match[0][:LONGEST_RUN])
        if said := _readable(bytes.fromhex(digits[: len(digits) // 2 * 2])):
            yield *match.span(), said


def _is_word(run: str) -> bool:
    """Whether it is in small letters and cannot be base64 of text: the second character of each
    four has the high half of a byte in it, which in text is 2 to 7, or 8 to 11 after a first."""
    return run[1:].islower() and not (run[1] in "ijklmnopqr" and run[5] in "ijklmnopqr")


def _base64(run: str) -> Iterator[str]:
    """What a run says; a long one may begin anywhere within what was encoded."""
    run = run[:LONGEST_RUN]
    for skip in range(4 if len(run) >= 24 else 1):
        part = run[skip:]
        part = part[: len(part) - 1] if len(part) % 4 == 1 else part
        said = _readable(binascii.a2b_base64(part + "=" * (-len(part) % 4)))
        if said:
            yield said
            return


_UNPRINTABLE = bytes(byte for byte in range(256) if not (32 <= byte < 127 or byte in b"\n\t"))


def _readable(data: bytes) -> str:
    """The text, or "" where it is none: three of four bytes are printable, or all valid UTF-8."""
    if len(data.translate(None, _UNPRINTABLE)) * 4 >= len(data) * 3:
        return data.decode(errors="replace")
    if data.isascii():
        return ""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return ""
    return text if sum(map(str.isprintable, text)) * 4 >= len(text) * 3 else ""


def _resolve(match: re.Match[str]) -> str:
    escape = match[0]
    match match.lastgroup:
        case "url":
            return bytes.fromhex(escape.replace("%", "")).decode(errors="replace")
        case "byte":
            return bytes.fromhex(escape.replace("\\x", "").replace("\\X", "")).decode(
                errors="replace"
            )
        case "utf16":
            units = bytes.fromhex(re.sub(r"\\u", "", escape, flags=re.IGNORECASE))
            return units.decode("utf-16-be", errors="replace")
        case "point":
            point = int(escape[2:].strip("{}"), 16)
            return chr(point) if point < 0x110000 and not 0xD800 <= point < 0xE000 else "\ufffd"
        case "octal":
            return chr(int(escape[1:], 8))
        case "letter":
            return {"n": "\n", "r": "\n", "t": "\t", "b": "", "f": ""}.get(escape[1], escape[1])
        case "tags":
            return "".join(chr(ord(c) - 0xE0000) for c in escape)
        case _:
            return html.unescape(escape)
