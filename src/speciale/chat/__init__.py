"""DeepSeek-V3.2's chat format: messages to prompt text, completions to messages."""

from speciale.chat.anthropic import from_anthropic
from speciale.chat.detokenizer import Detokenizer
from speciale.chat.errors import ChatFormatError
from speciale.chat.events import (
    ArgumentDelta,
    CallEnd,
    CallStart,
    ContentDelta,
    Event,
    Finish,
    ReasoningDelta,
    Repair,
    join,
)
from speciale.chat.extend import Extension, extend
from speciale.chat.functions import function_tool
from speciale.chat.ids import encode_ids
from speciale.chat.markers import (
    ASSISTANT,
    BOS,
    CALLS_CLOSE,
    CALLS_OPEN,
    DSML,
    EOS,
    FIM_BEGIN,
    FIM_END,
    FIM_HOLE,
    INVOKE_CLOSE,
    INVOKE_OPEN,
    PAD,
    PARAMETER_CLOSE,
    PARAMETER_OPEN,
    RESULT_CLOSE,
    RESULT_OPEN,
    RESULTS_CLOSE,
    RESULTS_OPEN,
    SPECIAL_TOKENS,
    THINK_CLOSE,
    THINK_OPEN,
    USER,
    restore_marks,
)
from speciale.chat.messages import ChatRequest, Message
from speciale.chat.parser import StreamParser, parse
from speciale.chat.request import Prompt, encode_request
from speciale.chat.template import encode

__all__ = [
    "encode",
    "parse",
    "StreamParser",
    "ChatFormatError",
    "Message",
    "ChatRequest",
    "encode_request",
    "Prompt",
    "encode_ids",
    "from_anthropic",
    "function_tool",
    "Detokenizer",
    "restore_marks",
    "extend",
    "Extension",
    "Event",
    "ReasoningDelta",
    "ContentDelta",
    "CallStart",
    "ArgumentDelta",
    "CallEnd",
    "Repair",
    "Finish",
    "join",
    "SPECIAL_TOKENS",
    "BOS",
    "EOS",
    "PAD",
    "USER",
    "ASSISTANT",
    "THINK_OPEN",
    "THINK_CLOSE",
    "FIM_HOLE",
    "FIM_BEGIN",
    "FIM_END",
    "DSML",
    "CALLS_OPEN",
    "CALLS_CLOSE",
    "INVOKE_OPEN",
    "INVOKE_CLOSE",
    "PARAMETER_OPEN",
    "PARAMETER_CLOSE",
    "RESULTS_OPEN",
    "RESULTS_CLOSE",
    "RESULT_OPEN",
    "RESULT_CLOSE",
]
