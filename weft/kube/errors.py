"""Defines the errors of a Kubernetes API server.

    ApiError                 status, reason and message from the server
    ├── NotFound             404
    ├── Conflict             409: another client wrote first; read again and retry
    │   │                    422 for metadata.uid alone: the object is another one by now
    │   └── AlreadyExists    409 on create
    ├── Expired              410: the server no longer has the resourceVersion; list again
    ├── Invalid              400, 415, 422: the object or request breaks a rule
    ├── Unauthorized         401
    ├── Forbidden            403
    ├── Terminating          403: the namespace is being deleted, and takes no new object
    └── Unreachable          no answer, 429 or 5xx: retry later

The client and the queue decide whether and when to retry.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from weft import errors

_LONGEST = 1000  # characters kept of a body that is no Status
# The authorizer's text after the object's name: which account lacks which right, and where.
_DENIAL = re.compile(r'User "[^"]*" cannot \S+ \S+ "[^"]*".*', re.DOTALL)


class ApiError(errors.WeftError):
    """The API server refused a request."""

    def __init__(
        self, status: int, reason: str, message: str, *, where: str = "", hint: str = ""
    ) -> None:
        super().__init__(message or reason or f"HTTP {status}", where=where, hint=hint)
        self.status = status
        self.reason = reason
        self.message = self.what
        self.retry_after: float | None = None

    @property
    def denial(self) -> str:
        """The authorizer's text on who lacks which right; empty for other errors.

        A right that is missing concerns the account. A quota, a namespace that ends and an
        admission policy answer 403 too, and concern one object or namespace.
        """
        found = _DENIAL.search(self.message) if self.status == 403 else None
        return found.group() if found else ""


class NotFound(ApiError):
    """The object or its kind does not exist."""


class Conflict(ApiError):
    """The object has changed since it was read, or a precondition does not hold."""

    retry = True


class AlreadyExists(Conflict):
    """An object with this name exists."""

    retry = False


class Expired(ApiError):
    """The server no longer has this resourceVersion."""

    retry = True


class Invalid(ApiError):
    """The object breaks a rule of its kind."""


class Unauthorized(ApiError):
    """The credentials are unknown. A retry may help: tokens are renewed, files mounted late."""

    retry = True


class Forbidden(ApiError):
    """The account may not do this. A retry may help: a role may be granted later."""

    retry = True


class Terminating(ApiError):
    """The namespace is being deleted, and takes no new object."""


class Unreachable(ApiError, errors.Unavailable):
    """No answer, or an error that does not concern the object."""

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
    """The error for a Status object, from a response body or a watch's ERROR event."""
    code = code or int(status.get("code") or 500)
    reason = str(status.get("reason") or "")
    kind = _BY_STATUS.get(code, Unreachable if code >= 500 else ApiError)
    if code == 409 and reason == "AlreadyExists":
        kind = AlreadyExists
    if code == 422 and _is_another_incarnation(status):
        kind = Conflict
    if code == 403 and _ends_namespace(status):
        kind = Terminating
    error = kind(
        code, reason, str(status.get("message") or ""), where=where, hint=_HINTS.get(kind, "")
    )
    seconds = (status.get("details") or {}).get("retryAfterSeconds")
    if seconds:
        error.retry_after = float(seconds)
    return error


def _is_another_incarnation(status: Mapping[str, Any]) -> bool:
    """Whether a patch names the uid of a deleted object whose name another object has now."""
    causes = _causes(status)
    return bool(causes) and all(one.get("field") == "metadata.uid" for one in causes)


def _ends_namespace(status: Mapping[str, Any]) -> bool:
    return any(one.get("reason") == "NamespaceTerminating" for one in _causes(status))


def _causes(status: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return (status.get("details") or {}).get("causes") or ()


def from_response(code: int, body: bytes, retry_after: str = "", *, where: str = "") -> ApiError:
    """The error for an HTTP response other than success."""
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
    """The error for credentials that cannot be read."""
    return Unauthorized(401, "Unauthorized", message, hint=_HINTS[Unauthorized])


def unreachable(server: str, cause: BaseException, *, where: str = "") -> Unreachable:
    """The error for a connection that failed or broke."""
    cause = getattr(cause, "os_error", cause)  # aiohttp's own text names its TLS context
    reason = str(cause) or type(cause).__name__
    return Unreachable(
        0,
        "Unreachable",
        f"no answer from the Kubernetes API at {server}: {reason}",
        where=where,
        hint="check that the API server runs and that the kubeconfig names its address",
    )


def garbled(server: str, content: bytes, *, where: str = "") -> Unreachable:
    """The error for an answer that no API server gives, such as a proxy's page."""
    excerpt = content[:100].decode(errors="replace").strip()
    return Unreachable(
        0,
        "Unreachable",
        f"what answers at {server} is no Kubernetes API: {excerpt!r}",
        where=where,
        hint="check the server's address and the proxies on the way",
    )
