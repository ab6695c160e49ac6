"""The errors of a Kubernetes API server.

    ApiError                 status, reason and message as the server gave them
    ├── NotFound             404
    ├── Conflict             409: somebody else wrote first; read again and retry
    │   └── AlreadyExists    409 on create
    ├── Expired              410: a resourceVersion is gone from the server's window; list again
    ├── Invalid              400, 415, 422: the object or request breaks a rule
    ├── Unauthorized         401
    ├── Forbidden            403
    └── Unreachable          no answer, or 429 and 5xx: try again later

Only the translation lives here; whether and when to retry is the client's and the queue's part.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from weft import errors

_LONGEST = 1000  # of a foreign body that is not a Status: enough to recognise, no page dumps


class ApiError(errors.WeftError):
    """The API server said no."""

    def __init__(
        self, status: int, reason: str, message: str, *, where: str = "", hint: str = ""
    ) -> None:
        super().__init__(message or reason or f"HTTP {status}", where=where, hint=hint)
        self.status = status
        self.reason = reason
        self.message = self.what
        self.retry_after: float | None = None


class NotFound(ApiError):
    """There is no such object, or no such kind."""


class Conflict(ApiError):
    """The object changed since it was read, or a precondition does not hold."""

    retry = True


class AlreadyExists(Conflict):
    """An object of that name is there."""

    retry = False


class Expired(ApiError):
    """The server does not remember that resourceVersion."""

    retry = True


class Invalid(ApiError):
    """The object breaks a rule of its kind."""


class Unauthorized(ApiError):
    """The server does not know who asks. A token is renewed, a file mounted late: it may yet."""

    retry = True


class Forbidden(ApiError):
    """The server knows who asks, and does not allow it. A role may be granted later."""

    retry = True


class Unreachable(ApiError, errors.Unavailable):
    """No answer, or none that says anything about the object."""

    retry = True


_BY_STATUS: dict[int, type[ApiError]] = {
    400: Invalid,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    408: Unreachable,
    409: Conflict,
    410: Expired,
    413: Invalid,
    415: Invalid,
    422: Invalid,
    429: Unreachable,
}

_HINTS: dict[type[ApiError], str] = {
    Unauthorized: "check the token or client certificate of the kubeconfig",
    Forbidden: "check the RBAC rules of the account that weft runs under",
}


def from_status(status: Mapping[str, Any], code: int = 0, *, where: str = "") -> ApiError:
    """The error for a Status object, as a response body or inside a watch's ERROR event."""
    code = code or int(status.get("code") or 500)
    reason = str(status.get("reason") or "")
    kind = _BY_STATUS.get(code, Unreachable if code >= 500 else ApiError)
    if code == 409 and reason == "AlreadyExists":
        kind = AlreadyExists
    error = kind(
        code, reason, str(status.get("message") or ""), where=where, hint=_HINTS.get(kind, "")
    )
    seconds = (status.get("details") or {}).get("retryAfterSeconds")
    if seconds:
        error.retry_after = float(seconds)
    return error


def from_response(code: int, body: bytes, retry_after: str = "", *, where: str = "") -> ApiError:
    """The error for an HTTP response that is not a success."""
    try:
        status = orjson.loads(body)
        if not isinstance(status, dict):
            raise ValueError
    except ValueError:
        status = {"message": body[:_LONGEST].decode(errors="replace").strip()}
    error = from_status(status, code, where=where)
    if retry_after.isdigit():
        error.retry_after = float(retry_after)
    return error


def unauthorized(message: str) -> Unauthorized:
    """The error for credentials that cannot even be shown to the server."""
    return Unauthorized(401, "Unauthorized", message, hint=_HINTS[Unauthorized])


def unreachable(server: str, cause: BaseException, *, where: str = "") -> Unreachable:
    """The error for a connection that could not be made or broke."""
    said = str(cause) or type(cause).__name__
    return Unreachable(
        0,
        "Unreachable",
        f"no answer from the Kubernetes API at {server}: {said}",
        where=where,
        hint="check that the API server runs and that the kubeconfig names its address",
    )
