from __future__ import annotations

import orjson
import pytest

from weft.kube import errors


@pytest.mark.parametrize(
    ("code", "reason", "kind", "retry"),
    [
        (404, "NotFound", errors.NotFound, False),
        (409, "Conflict", errors.Conflict, True),
        (409, "AlreadyExists", errors.AlreadyExists, False),
        (410, "Expired", errors.Expired, True),
        (422, "Invalid", errors.Invalid, False),
        (401, "Unauthorized", errors.Unauthorized, True),
        (403, "Forbidden", errors.Forbidden, True),
        (429, "TooManyRequests", errors.Unreachable, True),
        (500, "InternalError", errors.Unreachable, True),
        (503, "ServiceUnavailable", errors.Unreachable, True),
        (418, "", errors.ApiError, False),
    ],
)
def test_each_refusal_has_its_class(
    code: int, reason: str, kind: type[errors.ApiError], retry: bool
) -> None:
    body = orjson.dumps({"kind": "Status", "code": code, "reason": reason, "message": "said so"})
    error = errors.from_response(code, body, where="Pod a/b")
    assert type(error) is kind
    assert error.retry is retry
    assert str(error) == "Pod a/b: said so"
    inside_a_watch = errors.from_status(orjson.loads(body))
    assert type(inside_a_watch) is kind


def test_a_body_that_is_no_status_is_shown_but_not_all_of_it() -> None:
    error = errors.from_response(502, b"<html>" + b"x" * 5000)
    assert error.message.startswith("<html>")
    assert len(error.message) <= 1000
    assert errors.from_response(400, b"[1]").message == "[1]"


def test_how_long_to_wait_is_taken_from_header_or_body() -> None:
    assert errors.from_response(429, b"{}", "3").retry_after == 3
    body = orjson.dumps({"details": {"retryAfterSeconds": 2}})
    assert errors.from_response(503, body).retry_after == 2
    assert errors.from_response(503, b"{}", "soon").retry_after is None


def test_a_namespace_that_ends_is_no_missing_right() -> None:
    cause = {"reason": "NamespaceTerminating", "field": "metadata.namespace"}
    found = errors.from_status({"reason": "Forbidden", "details": {"causes": [cause]}}, 403)
    assert type(found) is errors.Terminating
    assert type(errors.from_status({"reason": "Forbidden"}, 403)) is errors.Forbidden


def test_a_patch_for_another_incarnation_is_a_conflict() -> None:
    cause = {"reason": "FieldValueInvalid", "message": "is immutable", "field": "metadata.uid"}
    for causes, kind in (
        ([cause, cause], errors.Conflict),
        ([cause, {**cause, "field": "spec"}], errors.Invalid),
        ([], errors.Invalid),
    ):
        found = errors.from_status({"reason": "Invalid", "details": {"causes": causes}}, 422)
        assert type(found) is kind
