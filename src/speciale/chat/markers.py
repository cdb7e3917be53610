"""The marks that structure a DeepSeek-V3.2 prompt, as plain text.
Source: the `encoding/` folder of deepseek-ai/DeepSeek-V3.2. The bar in the marks is U+FF5C
FULLWIDTH VERTICAL LINE, the low dash is U+2581 LOWER ONE EIGHTH BLOCK: neither is ASCII."""

import re

BOS = "<｜begin▁of▁sentence｜>"
EOS = "<｜end▁of▁sentence｜>"
PAD = "<｜▁pad▁｜>"

USER = "<｜User｜>"
ASSISTANT = "<｜Assistant｜>"
THINK_OPEN = "<think>"
THINK_CLOSE = "</think>"

# Fill in the middle: BEGIN prefix HOLE suffix END, then the model writes what fills the hole.
FIM_HOLE = "<｜fim▁hole｜>"
FIM_BEGIN = "<｜fim▁begin｜>"
FIM_END = "<｜fim▁end｜>"

# "DeepSeek markup language", the XML-like form of tool calls. The mark is one token inside
# every tag, so ordinary text that happens to hold `<invoke ...>` is never taken for a call.
DSML = "｜DSML｜"
CALLS_OPEN = f"<{DSML}function_calls>"
CALLS_CLOSE = f"</{DSML}function_calls>"
INVOKE_OPEN = f"<{DSML}invoke"
INVOKE_CLOSE = f"</{DSML}invoke>"
PARAMETER_OPEN = f"<{DSML}parameter"
PARAMETER_CLOSE = f"</{DSML}parameter>"

# Tool results are written by the caller, not by the model, and carry no DSML mark.
RESULTS_OPEN = "<function_results>"
RESULTS_CLOSE = "</function_results>"
RESULT_OPEN = "<result>"
RESULT_CLOSE = "</result>"

# What a tokenizer must hold as single tokens. The position is the id for the first three
# (0, 1, 2), as in DeepSeek's own vocabulary; the others may sit anywhere.
SPECIAL_TOKENS = (
    BOS,
    EOS,
    PAD,
    USER,
    ASSISTANT,
    THINK_OPEN,
    THINK_CLOSE,
    DSML,
    FIM_HOLE,
    FIM_BEGIN,
    FIM_END,
)

_STRIPPED = re.compile(r"<(/?)(?=(?:function_calls|invoke|parameter)\b[ >])")


def restore_marks(text: str) -> str:
    """A whole completion whose special tokens an engine has skipped: `<invoke ...>` and the other
    tags get their mark back. Better is to have skip_special_tokens off: without the mark, text
    about such tags cannot be told from them."""
    return _STRIPPED.sub(rf"<\1{DSML}", text)
