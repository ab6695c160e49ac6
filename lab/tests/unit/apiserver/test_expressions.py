"""Expressions of admission policies: what they see, and how they fail."""

from __future__ import annotations

import pytest

from weft_lab.apiserver import expressions
from weft_lab.apiserver.expressions import Expression, Faulty


def test_it_sees_the_objects_of_a_request() -> None:
    text = "object.metadata.?annotations[?'a/b'].orValue('') == oldObject.metadata.name"
    given = {
        "object": {"metadata": {"annotations": {"a/b": "web"}}},
        "oldObject": {"metadata": {"name": "web"}},
    }
    assert Expression(text).type == "bool"
    assert Expression(text).value(given) is True
    assert Expression(text).value({**given, "object": {"metadata": {}}}) is False


@pytest.mark.parametrize("text", ["1 +", "params.x == 1", "authorizer.group('')", "[1].nothing()"])
def test_what_the_lab_does_not_offer_is_no_expression(text: str) -> None:
    with pytest.raises(Faulty, match="compilation failed"):
        Expression(text)


def test_what_is_missing_has_no_value() -> None:
    with pytest.raises(Faulty, match=r"^no such key: spec$"):
        Expression("object.spec.x == 1").value({"object": {}})


def test_an_expression_is_compiled_once() -> None:
    assert expressions.known("1 == 1") is expressions.known("1 == 1")
