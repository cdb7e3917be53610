"""BFCL's function documents as OpenAI's function tools with JSON schemas.

BFCL names types as their languages do ("dict", "tuple", "HashMap"); a Java or JavaScript value is
a string that holds its literal, and the description says so in BFCL's words, which are kept.
"""

from __future__ import annotations

import json
import re
from typing import Any

from speciale.tasks.bfcl.data import Json

TYPES = {
    "string": "string",
    "String": "string",
    "char": "string",
    "integer": "integer",
    "long": "integer",
    "float": "number",
    "double": "number",
    "boolean": "boolean",
    "Boolean": "boolean",
    "array": "array",
    "tuple": "array",
    "Array": "array",
    "ArrayList": "array",
    "dict": "object",
    "HashMap": "object",
    # "any" and one "" say nothing about the value: no type is asked for.
}
SYNTAX = {
    "python": "Python 3 syntax",
    "java": "Java 8 SDK syntax",
    "javascript": "JavaScript syntax",
}


def tool_name(name: str) -> str:
    """A name without dots, which OpenAI's form does not allow; BFCL compares it so too."""
    return name.replace(".", "_")


def tool(document: Json, language: str = "python") -> Json:
    """The function tool of one document."""
    description = f"{document['description']} Note that the provided function is in "
    description += f"{SYNTAX[language]}."
    if "response" in document:  # OpenAI's form has no place for it
        shown = json.dumps(document["response"])
        description += f" The response field has the following schema: {shown}"
    parameters = document["parameters"]
    if language == "python":
        schema = _schema(parameters)
    else:
        properties = {
            name: _literal(parameter, {"java": "Java", "javascript": "JavaScript"}[language])
            for name, parameter in parameters["properties"].items()
        }
        schema = _schema(parameters | {"properties": properties})
    function = {"name": tool_name(document["name"]), "description": description}
    return {"type": "function", "function": {**function, "parameters": schema}}


def _schema(parameter: Json) -> Json:
    schema: dict[str, Any] = {}
    for key, value in parameter.items():
        if key == "type":
            if value in TYPES:
                schema["type"] = TYPES[value]
        elif key == "properties":
            schema[key] = {name: _schema(inner) for name, inner in value.items()}
        elif key == "items":
            schema[key] = _schema(value)
        elif key != "optional":  # the schema's `required` says it
            schema[key] = value
    return schema


def _literal(parameter: Json, language: str) -> Json:
    """A parameter whose value is text in the syntax of `language`."""
    kind = parameter["type"]
    if kind == "any":
        hint = f" This parameter can be of any type of {language} object in string representation."
    else:
        hint = f" This is {language} {kind} type parameter in string representation."
    if re.fullmatch("(?i)array(list)?", kind):
        hint += f" The list elements are of type {parameter['items']['type']}; "
        hint += "they are not in string representation."
    if kind == "dict" and "properties" in parameter:
        hint += " The dictionary entries have the following schema; they are not in string "
        hint += f"representation. {json.dumps(parameter['properties'])}"
    kept = {key: value for key, value in parameter.items() if key not in ("items", "properties")}
    return kept | {"type": "string", "description": parameter["description"] + hint}
