"""Specs to matchers: the grammar of the whole answer, written once and compiled for each request.
What is outside the constraint is part of the grammar too: reasoning up to `</think>`, text up to
a block of calls, and the end token where the answer may end."""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from dataclasses import asdict
from functools import cached_property
from typing import Any

from tokenizers import Tokenizer

from speciale.chat.ids import mark_id
from speciale.chat.markers import DSML, THINK_CLOSE
from speciale.engine.grammar import lark
from speciale.engine.grammar.calls import CallRules, unsupported
from speciale.engine.grammar.matcher import Matcher
from speciale.engine.grammar.schemas import prepared
from speciale.engine.grammar.specs import Json, JsonSchema, Spec, ToolCalls
from speciale.engine.grammar.vocabulary import Vocabulary, llguidance
from speciale.errors import RequestError

_KEPT = 64  # grammars, the last used ones
# Beside llguidance's own limits on the work of one step and on the states of a lexer.
_LIMITS = {"max_grammar_size": 100_000, "verbose_errors": False}

# Where only one text can follow, the library would allow that text's usual tokens alone, and a
# mark where the text spells one.
_NO_FORCING = '%llguidance {"no_forcing": true}'


class GrammarCompiler:
    """Makes matchers for one tokenizer; for use from one thread.

    The first matcher takes a second or two, since the vocabulary is read then.
    """

    def __init__(self, tokenizer: Tokenizer, eos_id: int, vocab_size: int):
        self._tokenizer, self._eos_id, self._vocab_size = tokenizer, eos_id, vocab_size
        self._grammars: OrderedDict[str, str] = OrderedDict()

    @cached_property
    def vocabulary(self) -> Vocabulary:
        return Vocabulary(self._tokenizer, self._eos_id, self._vocab_size)

    def matcher(self, spec: Spec) -> Matcher:
        """A matcher for one answer. Raises RequestError for what cannot be enforced, and
        ChatFormatError where the tokenizer lacks the marks that `spec` needs."""
        try:
            key = json.dumps([type(spec).__name__, asdict(spec)])
        except (TypeError, ValueError, RecursionError) as error:
            raise unsupported("the constraint", f"it is no JSON: {error}") from error
        if key not in self._grammars:
            self._grammars[key] = self._grammar(spec)
            if len(self._grammars) > _KEPT:
                self._grammars.popitem(last=False)
        self._grammars.move_to_end(key)
        # Compiled anew each time: copies of a machine share their lexer, its limits too, so that
        # one answer could use up what the next ones need.
        machine = self._compile(self._grammars[key])
        dsml = mark_id(self._tokenizer, DSML) if isinstance(spec, ToolCalls) else None
        return Matcher(self.vocabulary, machine, dsml)

    def _grammar(self, spec: Spec) -> str:
        """The grammar's text, which compiles and which something fits."""
        rules, places = "", {}
        match spec:
            case Json():
                what, answer = "JSON", lark.json_value({"type": "object"})
            case JsonSchema():
                what = "the schema"
                answer = lark.json_value(prepared(spec.schema, what))
            case ToolCalls():
                what, mark = "the tools", mark_id(self._tokenizer, DSML)
                block = CallRules(spec, mark)
                rules, places = block.text, block.places
                answer = f'"\\n\\n<" {lark.token(mark)} block'
                if spec.choice == "auto":
                    answer = f"TEXT | BEFORE_CALLS {lark.token(mark)} block"
        rules = (
            f"{_NO_FORCING}\nanswer: {answer}\n{rules}\n"
            f"TEXT: {lark.ANYTHING}\nBEFORE_CALLS: /(?s:.*)\\n\\n</\n"
        )
        grammar = f"start: answer\n{rules}"
        try:
            machine = self._compile(grammar)
        except ValueError as error:  # half of a surrogate pair
            raise unsupported(what, str(error)) from error
        if machine.is_error():
            raise _refused(machine.get_error(), what, places)
        machine.compute_bitmask()
        if machine.is_error():
            raise unsupported(what, "no value fits it")
        if spec.thinking:
            close = lark.token(mark_id(self._tokenizer, THINK_CLOSE))
            grammar = f"start: TEXT {close} answer\n{rules}"
        return grammar

    def _compile(self, grammar: str) -> Any:
        library = llguidance()
        return library.LLMatcher(
            self.vocabulary.machine,
            library.LLMatcher.grammar_from_lark(grammar),
            log_level=0,
            limits=library.LLParserLimits(**_LIMITS),
        )


def _refused(message: str, what: str, places: dict[str, str]) -> RequestError:
    """The library's reason in one line, without the grammar's lines that it points to."""
    for rule in re.findall(r"^ *\d+ \| (\w+):", message, re.MULTILINE):
        what = places.get(rule, what)
    reason = re.sub(r"^ *\d+ \| .*$|^ *\^ *$", "", message, flags=re.MULTILINE)
    reason = re.sub(r"^at \d+\(\d+\): ", "", " ".join(reason.split()))
    return unsupported(what, reason[:300])
