"""Compiles and evaluates expressions in CEL, the language of admission policies and schemas.

The library is Google's own (cel-expr-python). It is loaded with the first expression.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any

from weft_lab.apiserver import networkfunctions

# Of admission policies and webhooks, and of the rules in schemas of custom resources.
VARIABLES = ("object", "oldObject", "request", "namespaceObject", "variables")
SELF = ("self", "oldSelf")
_NOT_FOUND = 'NOT_FOUND: Key not found in map : "'


class Faulty(ValueError):
    """An expression that cannot be compiled, or that has no value; its text says why."""


class Expression:
    """A compiled expression over `variables`."""

    def __init__(self, text: str, variables: tuple[str, ...] = VARIABLES) -> None:
        """Raises Faulty where the text is not CEL, or names what the lab does not offer."""
        self.text = text
        try:
            self._program = _environment(variables).compile(text)
        except RuntimeError as error:
            reason = (
                str(error).removeprefix("INVALID_ARGUMENT: ").removesuffix(" [INVALID_ARGUMENT]")
            )
            raise Faulty(f"compilation failed: {reason}") from None
        self.type = self._program.return_type().name().lower()

    def value(self, given: Mapping[str, Any]) -> Any:
        """Its value as JSON has it. Raises Faulty where it has none."""
        try:
            found = self._program.eval(data=dict(given))
            value = found.plain_value()
        except (RuntimeError, TypeError) as error:
            raise Faulty(str(error)) from None
        if found.type().name() == "ERROR":
            raise Faulty(_as_kubernetes_says(str(value)))
        return value


def _as_kubernetes_says(text: str) -> str:
    """An error in the words of Kubernetes."""
    if text.startswith(_NOT_FOUND):
        return f"no such key: {text.removeprefix(_NOT_FOUND).removesuffix(chr(34))}"
    return text


@lru_cache(maxsize=1000)
def known(text: str, variables: tuple[str, ...] = VARIABLES) -> Expression:
    """The expression, compiled once. Raises Faulty."""
    return Expression(text, variables)


@cache
def _environment(variables: tuple[str, ...]) -> Any:
    from cel_expr_python import cel
    from cel_expr_python.ext import ext_optional, ext_strings

    return cel.NewEnv(
        variables=dict.fromkeys(variables, cel.Type.DYN),
        extensions=[ext_optional.ExtOptional(), ext_strings.ExtStrings()],
        functions=networkfunctions.declarations(cel),
    )
