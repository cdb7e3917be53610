"""Structured output: what a request asks for, as a mask over the vocabulary for each step."""

from speciale.engine.grammar.compiler import GrammarCompiler
from speciale.engine.grammar.matcher import Matcher
from speciale.engine.grammar.specs import Json, JsonSchema, Spec, ToolCalls

__all__ = ["GrammarCompiler", "Json", "JsonSchema", "Matcher", "Spec", "ToolCalls"]
