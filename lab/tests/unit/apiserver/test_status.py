"""What an error of the API says."""

from __future__ import annotations

from weft_lab.apiserver import status


def test_one_cause_reads_as_a_sentence_and_several_as_a_list() -> None:
    one = status.invalid("g.io", "Kind", "x", [status.required("spec.a")])
    assert str(one) == 'Kind.g.io "x" is invalid: spec.a: Required value'
    two = status.invalid("", "Pod", "x", [status.required("a"), status.duplicate("b", 1)])
    assert str(two) == 'Pod "x" is invalid: [a: Required value, b: Duplicate value: 1]'
    assert two.body()["details"]["causes"][1] == {
        "reason": "FieldValueDuplicate",
        "message": "Duplicate value: 1",
        "field": "b",
    }
