"""The word "bomb" as people hide it: what folding undoes, and what other readings show."""

import base64
import json

SAME = {
    "zero width": "b\u200bo\u200dm\u2060b",
    "soft hyphen": "bo\u00admb",
    "direction": "b\u202eom\u202cb",
    "combining": "b\u0301o\u0308m\u0336b",
    "mark of another script": "b\u0941omb",
    "variation selector": "b\ufe0fomb",
    "Hangul filler": "bo\u3164mb",
    "Cyrillic": "ВОМВ",
    "Greek": "βομβ",
    "fullwidth": "ｂｏｍｂ",
    "mathematical": "𝓫𝓸𝓶𝓫",
    "small capitals": "ʙᴏᴍʙ",
    "squared": "🅱🅾🅼🅱",
    "regional": "🇧🇴🇲🇧",
    "stroke": "bømƀ",
    "control": "b\x00o\x07mb",
    "case": "BoMb",
}

READ = {
    "spelled": "a b o m b here",
    "dots": "b.o.m.b",
    "lines": "b\no\nm\nb",
    "leet": "b0mb!",
    "leet and dots": "b.0.m.b",
    "hyphen": "bo-mb",
    "underscore": "bo_mb",
    "base64": base64.b64encode(b"a bomb").decode(),
    "base64 within words": f"see data:text/plain;base64,{base64.b64encode(b'bomb').decode()} here",
    "base64 without padding": "Ym9tYg",
    "base64 for URLs": base64.urlsafe_b64encode("ÿÿÿ the bomb".encode()).decode(),
    "base64 in lines": base64.encodebytes(b"x" * 70 + b" the bomb is here " + b"y" * 50).decode(),
    "base64 from the middle": base64.b64encode(b"lots of words before a bomb").decode()[2:],
    "base64 with zero width": "Ym9t\u200bYg==",
    "base64 twice": base64.b64encode(base64.b64encode(b"a bomb")).decode(),
    "hex": b"bomb".hex(),
    "hex pairs": b"bomb".hex(" "),
    "C escapes": r"\x62\x6f\x6d\x62",
    "URL": "%62%6Fm%62",
    "URL in base64": base64.b64encode(b"%62%6fmb").decode(),
    "HTML": "&#98;&#x6f;mb",
    "JSON": r"\u0062omb",
    "JSON twice": json.dumps(json.dumps("\u200bbomb")),
    "code point": r"\u{62}omb \U00000062omb",
    "octal": r"\142omb",
    "tags": "".join(chr(0xE0000 + ord(c)) for c in "bomb"),
}
