"""The grammar of DeepSeek-V3.2's block of calls, for the tools of one request.
Source: `encoding/` of deepseek-ai/DeepSeek-V3.2, as chat.template writes it. Parameters may come
in any order, each at most once: the bits of a rule's argument say which have come. Functions of
more parameters than bits take them in one order, the required ones first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from speciale.engine.grammar import lark
from speciale.engine.grammar.schemas import check_length, prepared, references
from speciale.engine.grammar.specs import ToolCalls
from speciale.engine.grammar.values import forms, resolve
from speciale.errors import RequestError

_MOST_BITS = 64  # of a rule's argument in llguidance
# What a name cannot hold, since names stand in tags as they are.
_NO_NAME = set('"<>\n\r｜‖')
_DEFINITIONS = ("$defs", "definitions")
# Keywords that bind an object as a whole, which the rules of a call cannot.
_REFUSED = {
    "anyOf", "oneOf", "allOf", "not", "if", "enum", "const", "patternProperties", "minProperties",
    "maxProperties", "propertyNames", "dependentRequired", "dependentSchemas",
}  # fmt: skip


class CallRules:
    """The rules of a block: `text` defines `block`, which follows the `<` and the mark of its
    opening tag. `places` says in words which parameter a rule is for."""

    def __init__(self, spec: ToolCalls, dsml: int):
        self._mark = lark.token(dsml)
        self._lines: list[str] = []
        self.places: dict[str, str] = {}
        functions = _functions(spec)
        check_length(functions, "the list of tools")
        for index, function in enumerate(functions):
            self._call(f"call{index}", function)
        self._rule("any_call", " | ".join(f"call{index}" for index in range(len(functions))))
        # OpenAI: "call exactly one specific function" where one is named.
        calls = 'any_call "\\n"' if isinstance(spec.choice, Mapping) else '(any_call "\\n")+'
        close = f'"</" {self._mark} "function_calls>"'
        self._rule("block", f'"function_calls>\\n" {calls} {close}')
        self.text = "\n".join(self._lines)

    def _rule(self, name: str, body: str) -> None:
        self._lines.append(f"{name}: {body}")

    def _call(self, rule: str, function: Mapping[str, Any]) -> None:
        name = _name(function.get("name"), "the function")
        what = f"the function {name!r}"
        schema = _parameters(function, what)
        properties, required = schema["properties"], schema["required"]
        order = sorted(properties, key=lambda key: key not in required)  # the required ones first
        for place, key in enumerate(order):
            words = f"the parameter {_name(key, 'a parameter')!r} of {what}"
            self._parameter(f"{rule}_{place}", key, properties[key], schema, words)
        # Without parameters an empty line stands between the tags.
        arguments = "" if required else '| "\\n"'
        if len(order) <= _MOST_BITS:
            arguments = f"{rule}_all::0x0 {arguments}" if order else '"\\n"'
            steps = [
                f"{rule}_{place} {rule}_some::set_bit({place}) %if bit_clear({place})"
                for place in range(len(order))
            ]
            done = f"is_ones([0:{len(required)}])" if required else "true"
            if order:
                self._rule(f"{rule}_all::_", " | ".join(steps))
                self._rule(f"{rule}_some::_", f'"" %if {done} | {" | ".join(steps)}')
        else:
            sequence = [
                f"{rule}_{place}{'' if key in required else '?'}" for place, key in enumerate(order)
            ]
            arguments = f"{' '.join(sequence)} {arguments}"
        opening = lark.literal(f'invoke name="{name}">\n')
        close = f'"</" {self._mark} "invoke>"'
        self._rule(rule, f'"<" {self._mark} {opening} ({arguments}) {close}')

    def _parameter(self, rule: str, key: str, schema: Any, root: Mapping, words: str) -> None:
        try:
            texts, other = forms(schema, root)
        except RequestError as error:
            raise unsupported(words, str(error)) from error
        except (TypeError, ValueError, AttributeError) as error:
            raise unsupported(words, f"malformed schema: {error}") from error
        definitions = {name: root[name] for name in _DEFINITIONS if name in root}
        ways = []
        for place, text in enumerate(texts):
            # The value and the start of its closing tag are one terminal: text may hold "</" too.
            terminal = f"T{rule}_{place}".upper()
            self.places[terminal] = words
            self._rule(terminal, rf"({text}) /<\//")
            ways.append((f"{terminal}", "true"))
        if other is not None:
            json_rule = f"{rule}_json"
            self.places[json_rule] = words
            self._rule(json_rule, lark.json_value({**definitions, **other}))
            ways.append((f'{json_rule} "</"', "false"))
        if not ways:
            raise unsupported(words, "its schema allows no value")
        tags = [
            f'"<" {self._mark} {lark.literal(_opening(key, is_text))} {value} '
            f'{self._mark} "parameter>\\n"'
            for value, is_text in ways
        ]
        self._rule(rule, " | ".join(tags))


def _opening(key: str, is_text: str) -> str:
    return f'parameter name="{key}" string="{is_text}">'


def unsupported(what: str, reason: str) -> RequestError:
    return RequestError(
        f"{what} cannot be enforced ({reason}): state it by other keywords, or ask without a "
        "constraint."
    )


def _functions(spec: ToolCalls) -> list[Mapping[str, Any]]:
    """The functions that may be called."""
    tools, choice = spec.tools, spec.choice
    functions = []
    for tool in tools if isinstance(tools, list | tuple) else [None]:
        function = tool.get("function") if isinstance(tool, Mapping) else None
        if not isinstance(function, Mapping):
            raise RequestError(
                'the tools are no list of {"type": "function", "function": {"name", ...}}: '
                "mend them."
            )
        functions.append(function)
    if isinstance(choice, Mapping):
        named = choice.get("function")
        wanted = named.get("name") if isinstance(named, Mapping) else None
        functions = [function for function in functions if function.get("name") == wanted]
        if not functions:
            raise RequestError(f"there is no tool {wanted!r}: choose one of the request's tools.")
    elif choice not in ("auto", "required"):
        raise RequestError(
            f'the tool choice is {choice!r}: use "auto", "required" or a function\'s name.'
        )
    if not functions:
        raise RequestError("there are no tools to call: give some, or ask without them.")
    return functions


def _name(name: Any, what: str) -> str:
    if not isinstance(name, str) or not name or _NO_NAME.intersection(name):
        raise RequestError(
            f"{what} is named {name!r}, which a tag cannot hold: use letters, digits, _ and -."
        )
    return name


def _parameters(function: Mapping[str, Any], what: str) -> dict[str, Any]:
    """The schema of a function's arguments, with `properties` and `required` filled in. Only
    named properties can be given, whatever it says of additional ones."""
    schema = prepared(function.get("parameters") or {}, f"the schema of {what}")
    for reference in references(schema):
        if not str(reference).startswith(("#/$defs/", "#/definitions/")):
            reason = f"the reference {reference!r} does not lead into its $defs"
            raise unsupported(f"the schema of {what}", reason)
    if "$ref" in schema:
        try:
            schema = {**schema, **prepared(resolve(schema["$ref"], schema), what)}
        except RequestError as error:
            raise unsupported(what, str(error)) from error
    properties, required = schema.get("properties") or {}, schema.get("required") or []
    for key in sorted(_REFUSED.intersection(schema)):
        raise unsupported(f"the schema of {what}", f"{key!r} binds all parameters together")
    if schema.get("type", "object") != "object" or not isinstance(properties, Mapping):
        raise unsupported(f"the schema of {what}", "it is not that of an object with properties")
    if not isinstance(required, list) or not all(isinstance(key, str) for key in required):
        raise unsupported(f"the schema of {what}", "'required' is no list of names")
    unnamed = {key: {} for key in required if key not in properties}
    return {**schema, "properties": {**properties, **unnamed}, "required": set(required)}
