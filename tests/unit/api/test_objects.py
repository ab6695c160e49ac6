"""What objects are called, and their annotations."""

from __future__ import annotations

import pytest

from weft import errors
from weft.api import objects


@pytest.mark.parametrize(
    ("obj", "called"),
    [
        ({"metadata": {"namespace": "shop", "name": "web1"}}, "Pod shop/web1"),
        ({"metadata": {"name": "web1"}}, "Pod default/web1"),
        ({"metadata": {"name": 5, "namespace": []}}, "Pod default/"),
        ({"metadata": None}, "Pod default/"),
        (None, "Pod default/"),
    ],
)
def test_called_by_kind_namespace_and_name(obj: object, called: str) -> None:
    assert objects.subject("Pod", obj) == called


@pytest.mark.parametrize("kind", ["Node", "Namespace"])
def test_what_is_in_no_namespace_is_called_by_its_name_alone(kind: str) -> None:
    assert objects.subject(kind, {"metadata": {"name": "one"}}) == f"{kind} one"


def test_an_annotation_is_text_or_nothing() -> None:
    pod = {"metadata": {"name": "web1", "annotations": {"a": "1", "b": 5}}}
    assert objects.annotation("Pod", pod, "a") == "1"
    assert objects.annotation("Pod", pod, "c") == ""
    assert objects.annotation("Pod", {}, "a") == ""
    with pytest.raises(errors.InvalidInput) as caught:
        objects.annotation("Pod", pod, "b")
    assert str(caught.value) == "Pod default/web1: b 5: must be a string, not a number"
