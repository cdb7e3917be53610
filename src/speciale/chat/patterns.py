"""The patterns by which a completion is cut: marks, tags, and what may still become one.
DSML tags are those of the reference (`<｜DSML｜invoke name="f">`); the lenient ones also take the
doubled and the narrow bars that gateways are seen to make of the mark."""

import re

from speciale.chat.markers import BOS, DSML, EOS, THINK_CLOSE, THINK_OPEN

_MARK = "[｜‖]{1,2}DSML[｜‖]{1,2}"
_NAME = "[A-Za-z_]{0,40}"
_TAG = f"<(?P<close>/?){_MARK}(?P<name>{_NAME})"

# No pattern that is looked for across chunks matches more characters than this.
LONGEST = 64


def _begun(text: str) -> str:
    """A pattern of everything that `text` begins with, from nothing to the whole of it."""
    return "".join(f"(?:{re.escape(c)}" for c in text) + ")?" * len(text)


# In free text a mark can begin here only.
CANDIDATE = re.compile(r"<(?=/?(?:[t｜‖]|\Z))|[｜‖](?=[｜‖]?(?:D|\Z))")
BAR = re.compile("[｜‖]")  # is in every mark of the DSML and in the end mark
# A marker in free text: a tag of the DSML, a think mark, any other token such as <｜User｜>, or
# the DSML mark by itself.
MARKER = re.compile(rf"{_TAG}|</?think>|<｜[^<>｜\s]{{1,40}}｜>|{_MARK}")
# What is no marker yet, but may become one with more text.
UNFINISHED_MARKER = re.compile(
    rf"<(?:/?(?:{_begun('think>')}|[｜‖]{{1,2}}{_begun('DSML')}|[｜‖]{{1,2}}DSML[｜‖]{{0,2}})"
    rf"|｜[^<>｜\s]{{0,40}}｜?)\Z"
    rf"|[｜‖]{{1,2}}(?:{_begun('DSML')}|DSML[｜‖]?)\Z"
)

# A mark that is broken or cut off: `2 <` is prose, but nobody writes `<｜`.
BROKEN_MARKER = re.compile(r"</?[｜‖][A-Za-z▁｜‖]{0,40}(?P<name>(?!))?")
# The reference lets all other tokens pass as text, and knows the exact DSML mark only.
STRICT_MARKER = re.compile(f"</?{DSML}{_NAME}|{BOS}|{EOS}|{THINK_OPEN}|{THINK_CLOSE}")

TAG = re.compile(_TAG)
# The rest of a tag after its name, in one line.
LONGEST_ATTRIBUTES = 200
ATTRIBUTES = re.compile(rf"[^<>\n]{{0,{LONGEST_ATTRIBUTES}}}")
SPACE = re.compile(r"\s*")
# The invoke tag's own text. The reference's pattern ends with `$`, which passes over one newline.
INVOKE_HEADER = re.compile(r'\s*name="(.*?)">\n\n?', re.DOTALL)
LOOSE_INVOKE_HEADER = re.compile(
    r"""\s*name\s*=\s*(?P<quote>["'])(?P<name>[^"'\n<>]+)(?P=quote)\s*(?P<closed>/?)>(?P<body>.*)""",
    re.DOTALL,
)
LOOSE_PARAMETER = re.compile(
    r'\s*name\s*=\s*"(?P<key>[^"\n]*)"(?:\s*string\s*=\s*"(?P<string>true|false)")?\s*>(?P<value>.*)',
    re.DOTALL,
)
# A whole opening tag of a parameter: where one stands inside a value, the value was not closed.
PARAMETER_TAG = re.compile(rf'<{_MARK}parameter name="[^"\n]*" string="(?:true|false)">')
PARAMETER_CLOSE = re.compile(rf"(?:<\n?)?/{_MARK}parameter")
# Characters that no name of a function has: with one of them it is a name and more.
NO_NAME = re.compile(r"[\"<>\n｜‖]")
LOOSE_GAP = re.compile(r"\s*>?\s*")
# The end of a value may have begun with these last characters.
UNFINISHED_VALUE_END = re.compile(
    rf"(?:(?:<\n?/?|/)(?:[｜‖]{{1,2}}(?:{_begun('DSML')}|DSML[｜‖]{{1,2}}{_begun('parameter')}))?"
    rf"|{_begun(EOS)})\Z"
)


class Strict:
    """The stops of the reference: it looks for these very strings and for no others."""

    # Behind an invoke tag or a parameter: the next parameter, or the end of the call.
    in_call = re.compile(f"<(?P<close>/?){DSML}(?P<name>(?<!/{DSML})parameter|(?<=/{DSML})invoke)")
    after_key = re.compile(f'" string="(?P<string>true|false)">|/{DSML}parameter')
    value_end = re.compile(f"(?P<end>(?:<\n?)?/{DSML}parameter)")


class Lenient:
    """Any tag, and the end mark, is a stop."""

    in_call = re.compile(f"{_TAG}|{EOS}")
    after_key = re.compile(f'" string="(?P<string>true|false)">|{_TAG}|{EOS}')
    value_end = re.compile(f"(?P<end>(?:<\n?)?/{_MARK}parameter)|{_TAG}|{EOS}")
