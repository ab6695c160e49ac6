"""What a webhook answers, and what becomes of a write for it."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from weft_lab.apiserver import webhooks
from weft_lab.apiserver.webhooks import verdict

REVIEW = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}


def answer(**response: Any) -> bytes:
    return orjson.dumps({**REVIEW, "response": {"uid": "u", **response}})


def refusal(**status: Any) -> tuple[int, str, str]:
    found = verdict("w", answer(allowed=False, status=status), "u").error
    assert found is not None
    return found.code, found.reason, found.what


def test_what_is_allowed_may_come_with_warnings() -> None:
    found = verdict("w", answer(allowed=True, warnings=["a", 3]), "u")
    assert found == webhooks.Verdict(None, ("a",))


def test_a_refusal_has_the_words_of_the_webhook() -> None:
    refused = 'admission webhook "w" denied the request'
    answer = {"code": 422, "reason": "Invalid", "message": "no"}
    assert refusal(**answer) == (422, "Invalid", f"{refused}: no")
    assert refusal(reason="Forbidden") == (400, "Forbidden", f"{refused}: Forbidden")
    assert refusal(code=200) == (400, "", f"{refused} without explanation")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"{", "unexpected end"),
        (b"[]", "webhook response was absent"),
        (orjson.dumps(REVIEW), "webhook response was absent"),
        (answer(uid="v", allowed=True), 'expected response.uid="u", got "v"'),
        (answer(allowed=True, patch="W10="), "may not return response.patch"),
        (answer(allowed=True).replace(b"/v1", b"/v9"), "got admission.k8s.io/v9"),
    ],
)
def test_an_answer_that_is_no_review_is_reported(text: bytes, message: str) -> None:
    with pytest.raises(webhooks.Unusable) as caught:
        verdict("w", text, "u")
    assert message in str(caught.value)
