"""Signs and reads the tokens of service accounts: JSON Web Tokens with a key of the server's own.

Bound to a pod, a token names its node too, and ends with the pod.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from weft.host import files
from weft_lab.apiserver import auth

ISSUER = "https://kubernetes.default.svc"
_IDENTITY = "weft-lab/identity"
KEY_FILE = "service-accounts.key"
_NODE = "authentication.kubernetes.io/node-name"
_POD = "authentication.kubernetes.io/pod-name"
_CREDENTIAL = "authentication.kubernetes.io/credential-id"
Claims = dict[str, Any]
_HEAD = {"alg": "HS256", "typ": "JWT"}
_LIMIT = 8 * 1024  # characters of a token


@dataclass(frozen=True, slots=True)
class Bound:
    """What a token is for; the uids are those of the objects that must still be there."""

    namespace: str
    account: str
    uid: str
    pod: tuple[str, str] | None = None
    node: tuple[str, str] | None = None


def ensure_key(path: Path) -> bytes:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        files.replace(path, secrets.token_bytes(32))
    return path.read_bytes()


def sign(key: bytes, bound: Bound, audiences: tuple[str, ...], now: float, seconds: int) -> str:
    inner: Claims = {
        "namespace": bound.namespace,
        "serviceaccount": {"name": bound.account, "uid": bound.uid},
    }
    for name, held in (("pod", bound.pod), ("node", bound.node)):
        if held is not None:
            inner[name] = {"name": held[0], "uid": held[1]}
    claims: Claims = {
        "aud": list(audiences or (ISSUER,)),
        "exp": int(now) + seconds,
        "iat": int(now),
        "iss": ISSUER,
        "jti": secrets.token_hex(16),
        "kubernetes.io": inner,
        "nbf": int(now),
        "sub": f"system:serviceaccount:{bound.namespace}:{bound.account}",
    }
    return _signed(key, claims)


def sign_identity(key: bytes, user: auth.User) -> str:
    """A token of whoever holds the key: it names its user in full, and does not end."""
    claims = {
        "iss": ISSUER,
        "sub": user.name,
        _IDENTITY: {"groups": user.groups, "extra": dict(user.extra)},
    }
    return _signed(key, claims)


def _signed(key: bytes, claims: Claims) -> str:
    text = f"{_encode(orjson.dumps(_HEAD))}.{_encode(orjson.dumps(claims))}"
    return f"{text}.{_encode(_mark(key, text))}"


def _mark(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), hashlib.sha256)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def read(key: bytes, token: str, now: float) -> Claims | None:
    """What a token says, if this server signed it and its time is not over."""
    text, _, mark = token.rpartition(".")
    if len(token) > _LIMIT or text.count(".") != 1 or not token.isascii():
        return None
    try:
        given = base64.urlsafe_b64decode(mark + "=" * (-len(mark) % 4))
        if not hmac.compare_digest(given, _mark(key, text)):
            return None
        body = text.partition(".")[2]
        claims: Claims = orjson.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (binascii.Error, ValueError):
        return None
    if _IDENTITY in claims:
        return claims
    return claims if claims["nbf"] <= now < claims["exp"] and ISSUER in claims["aud"] else None


def user_of(claims: Claims, exists: Callable[[str, str, str, str], bool]) -> auth.User | None:
    """Whose token it is; None when what it is bound to is gone.

    exists: (plural, namespace, name, uid) of an object.
    """
    if _IDENTITY in claims:
        identity = claims[_IDENTITY]
        given = {key: tuple(values) for key, values in identity["extra"].items()}
        return auth.User(claims["sub"], "", tuple(identity["groups"]), given)
    inner = claims["kubernetes.io"]
    namespace, account = inner["namespace"], inner["serviceaccount"]
    if not exists("serviceaccounts", namespace, account["name"], account["uid"]):
        return None
    extra = {_CREDENTIAL: (f"JTI={claims['jti']}",)}
    if "pod" in inner:
        if not exists("pods", namespace, inner["pod"]["name"], inner["pod"]["uid"]):
            return None
        extra[_POD] = (inner["pod"]["name"],)
        extra["authentication.kubernetes.io/pod-uid"] = (inner["pod"]["uid"],)
    if "node" in inner:
        extra[_NODE] = (inner["node"]["name"],)
    everybody = "system:serviceaccounts"
    groups = (everybody, f"{everybody}:{namespace}", auth.AUTHENTICATED)
    return auth.User(claims["sub"], account["uid"], groups, extra)
