"""Makes the errors of the API: `Status` objects with the reason and code that clients act on.

This module has the messages only; other modules decide what is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from weft import errors


@dataclass(frozen=True, slots=True)
class Cause:
    """One broken rule: where, why, and the machine-readable kind of it."""

    field: str
    message: str
    reason: str = "FieldValueInvalid"


class ApiError(errors.WeftError):
    """An answer other than success."""

    def __init__(
        self, code: int, reason: str, message: str, details: dict[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.details = details

    def body(self) -> dict[str, Any]:
        """The metav1.Status that goes over the wire."""
        status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.what,
        }
        if self.reason:
            status["reason"] = self.reason
        if self.details is not None:
            status["details"] = self.details
        status["code"] = self.code
        return status


class NoSuchPath(ApiError):
    """A path that the server does not serve: Kubernetes answers with a line of text."""

    def __init__(self) -> None:
        super().__init__(404, "NotFound", "404 page not found", {})


def success(name: str, group: str, plural: str, uid: str) -> dict[str, Any]:
    """The answer to a deletion that is already complete."""
    details = {"name": name, "group": group, "kind": plural, "uid": uid}
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {key: value for key, value in details.items() if value},
    }


def qualified(group: str, plural: str) -> str:
    """`pods`, or `virtualmachines.kubevirt.io`: how messages name a resource."""
    return f"{plural}.{group}" if group else plural


def _details(name: str, group: str, kind: str) -> dict[str, Any]:
    found = {"name": name, "group": group, "kind": kind}
    return {key: value for key, value in found.items() if value}


def not_found(group: str, plural: str, name: str) -> ApiError:
    message = f'{qualified(group, plural)} "{name}" not found'
    return ApiError(404, "NotFound", message, _details(name, group, plural))


def no_such_resource() -> ApiError:
    """Has empty details, by which clients tell it from a missing object."""
    return ApiError(404, "NotFound", "the server could not find the requested resource", {})


def not_served(what: str) -> ApiError:
    """What a cluster has and the lab does not, with the way around."""
    return ApiError(501, "NotImplemented", f"the lab does not serve {what}", {})


def already_exists(group: str, plural: str, name: str) -> ApiError:
    message = f'{qualified(group, plural)} "{name}" already exists'
    return ApiError(409, "AlreadyExists", message, _details(name, group, plural))


def conflict(group: str, plural: str, name: str, why: str) -> ApiError:
    message = f'Operation cannot be fulfilled on {qualified(group, plural)} "{name}": {why}'
    return ApiError(409, "Conflict", message, _details(name, group, plural))


MODIFIED = (
    "the object has been modified; please apply your changes to the latest version and try again"
)


def forbidden(group: str, plural: str, name: str, why: str, cause: Cause | None = None) -> ApiError:
    details = _details(name, group, plural)
    if cause:
        details["causes"] = [_cause(cause)]
    named = f'{qualified(group, plural)} "{name}"' if name else qualified(group, plural)
    message = f"{named} is forbidden: {why}"
    return ApiError(403, "Forbidden", message, details)


def invalid(group: str, kind: str, name: str, causes: Sequence[Cause]) -> ApiError:
    """422 with every broken rule at once, worded as one sentence for people."""
    rules = [
        f"{cause.field}: {cause.message}" if cause.field else cause.message for cause in causes
    ]
    text = rules[0] if len(rules) == 1 else f"[{', '.join(rules)}]"
    details = _details(name, group, kind)
    details["causes"] = [_cause(cause) for cause in causes]
    return ApiError(
        422, "Invalid", f'{qualified(group, kind)} "{name}" is invalid: {text}', details
    )


def _cause(cause: Cause) -> dict[str, str]:
    return {"reason": cause.reason, "message": cause.message, "field": cause.field}


def bad_request(message: str) -> ApiError:
    return ApiError(400, "BadRequest", message)


def unauthorized() -> ApiError:
    return ApiError(401, "Unauthorized", "Unauthorized")


def method_not_allowed() -> ApiError:
    message = "the server does not allow this method on the requested resource"
    return ApiError(405, "MethodNotAllowed", message, {})


def not_acceptable(*known: str) -> ApiError:
    message = f"only the following media types are accepted: {', '.join(known)}"
    return ApiError(406, "NotAcceptable", message)


def unsupported_media(given: str, *known: str) -> ApiError:
    """415; `given` is left out of the message where it is empty, as for patches."""
    shown = f" ({given})" if given else ""
    message = (
        f"the body of the request was in an unknown format{shown}"
        f" - accepted media types include: {', '.join(known)}"
    )
    return ApiError(415, "UnsupportedMediaType", message)


def too_large(why: str) -> ApiError:
    return ApiError(413, "RequestEntityTooLarge", f"Request entity too large: {why}")


def too_slow(what: str) -> ApiError:
    """408: a request's head or body did not arrive in time."""
    return ApiError(408, "Timeout", f"Timeout: {what}", {})


def too_late() -> ApiError:
    """504: webhooks did not answer in the time of a request."""
    why = "request did not complete within requested timeout"
    return ApiError(504, "Timeout", f"Timeout: {why}", {})


def too_many(what: str) -> ApiError:
    return ApiError(429, "TooManyRequests", what, {"retryAfterSeconds": 1})


def gone(message: str) -> ApiError:
    """The history that was asked for is no longer kept: list again, then watch."""
    return ApiError(410, "Expired", message)


def too_new(revision: int, current: int) -> ApiError:
    message = f"Too large resource version: {revision}, current: {current}"
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    return ApiError(504, "Timeout", message, {"causes": [cause], "retryAfterSeconds": 1})


def internal(what: str) -> ApiError:
    message = f"Internal error occurred: {what}"
    return ApiError(500, "InternalError", message, {"causes": [{"message": what}]})


def required(field: str, why: str = "") -> Cause:
    message = f"Required value: {why}" if why else "Required value"
    return Cause(field, message, "FieldValueRequired")


def wrong(field: str, value: object, why: str) -> Cause:
    return Cause(field, f"Invalid value: {quote(value)}: {why}", "FieldValueInvalid")


def barred(field: str, why: str) -> Cause:
    return Cause(field, f"Forbidden: {why}", "FieldValueForbidden")


def unsupported(field: str, value: object, known: Sequence[str]) -> Cause:
    listed = ", ".join(f'"{one}"' for one in known)
    message = f"Unsupported value: {quote(value)}: supported values: {listed}"
    return Cause(field, message, "FieldValueNotSupported")


def duplicate(field: str, value: object) -> Cause:
    return Cause(field, f"Duplicate value: {quote(value)}", "FieldValueDuplicate")


_SHOWN = 1024  # characters of a value in a message


def quote(value: object) -> str:
    """A value as Kubernetes prints it in messages: strings quoted, the rest in JSON."""
    import json

    if isinstance(value, str):
        value = value if len(value) <= _SHOWN else f"{value[:_SHOWN]}..."
    elif not (isinstance(value, int | float | dict | list) or value is None):
        return str(value)
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text if len(text) <= 2 * _SHOWN else f"{text[:_SHOWN]}..."
