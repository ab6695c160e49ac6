"""Verifies which of a pod's allocations the cluster manager decided.

Whoever creates a pod can write its annotations, `k8s.ovn.org/pod-networks` too. Only allocations
that the cluster manager has signed, for this incarnation of this pod, are valid:

    weft/pod-networks-signature: {"by": "<key>", "of": ["<attachment>", ...], "signature": "..."}

The signature (Ed25519) covers the parsed allocations, not their text. Entries of attachments that
`of` does not list belong to other plugins and are not verified (ADR 0060). A `serial`, 0 if absent,
grows when any pod loses an allocation, by a million, and when the pod's machine moves, by one: who
knows a pod's later one believes no earlier one (ADR 0130).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from weft import errors, model, names
from weft.api import podnetworks

SignedAnnotations = tuple[str, str]  # the texts of the two annotations

_SUBJECT = "weft/pod-networks/1"  # part of the message, so no signature for another use is valid
_REMEDY = "the cluster manager writes it again; you need to do nothing"


@dataclass(frozen=True, slots=True)
class SignedAllocations:
    """The signed `allocations` by attachment key; `by` is the id of the key that signed.

    `text` and `signature` are the two annotations; `text` may have other plugins' entries too.
    `serial` is greater than that of whatever was signed for the pod before, and no longer counts.
    """

    allocations: Mapping[str, model.Allocation] = field(default_factory=dict)
    by: str = ""
    text: str = ""
    signature: str = ""
    serial: int = 0

    def prove(self) -> SignedAnnotations:
        """Both annotations, without other plugins' entries."""
        return podnetworks.render(self.allocations), self.signature


UNSIGNED = SignedAllocations()


class Signer:
    """The cluster manager's private key; `secret` and `public` as they are stored."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.secret = base64.b64encode(key.private_bytes_raw()).decode()
        raw = key.public_key().public_bytes_raw()
        self.public = base64.b64encode(raw).decode()
        self.id = key_id(raw)

    @classmethod
    def load(cls, secret: str) -> Signer:
        """The key in a text; raises ValueError if it is none."""
        return cls(Ed25519PrivateKey.from_private_bytes(_raw(secret)))

    def sign(
        self,
        pod: model.PodRef,
        allocations: Mapping[str, model.Allocation],
        text: str = "",
        serial: int = 0,
    ) -> str:
        """The text of the signature annotation; `text`: the allocations rendered, if they are."""
        signature = self._key.sign(_message(pod, text or podnetworks.render(allocations), serial))
        entry = {
            "by": self.id,
            "of": sorted(allocations),
            "signature": base64.b64encode(signature).decode(),
        }
        return orjson.dumps({**entry, "serial": serial} if serial else entry).decode()


class TrustedKeys:
    """Public keys by id, as the ConfigMap's data has them."""

    def __init__(self, keys: Mapping[str, Ed25519PublicKey] | None = None) -> None:
        self._keys = dict(keys or {})

    @classmethod
    def parse(cls, data: Mapping[str, object]) -> TrustedKeys:
        """Skips keys under a wrong id, and values that are no keys."""
        found = {}
        for name, text in data.items():
            try:
                raw = _raw(text)
                if name == key_id(raw):
                    found[name] = Ed25519PublicKey.from_public_bytes(raw)
            except ValueError:
                continue
        return cls(found)

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, key: str) -> bool:
        return key in self._keys

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TrustedKeys) and self._keys.keys() == other._keys.keys()

    def __hash__(self) -> int:
        return hash(frozenset(self._keys))

    def __or__(self, other: TrustedKeys) -> TrustedKeys:
        return TrustedKeys(self._keys | other._keys)

    def verify(self, by: str, signature: bytes, message: bytes) -> bool:
        """Whether key `by` made this signature of the message."""
        key = self._keys.get(by)
        try:
            if key is None:
                return False
            key.verify(signature, message)
        except InvalidSignature:
            return False
        return True


def key_id(public: bytes) -> str:
    """The id of a public key: a digest of it."""
    return hashlib.sha256(public).hexdigest()[:16]


def verify(pod: model.PodRef, proof: SignedAnnotations, trusted: TrustedKeys) -> SignedAllocations:
    """The cluster manager's allocations in a pod's two annotations; UNSIGNED if there are none.

    Raises InvalidInput if they are not those that were signed for this pod.
    """
    text, signature = proof
    if not text and not signature:
        return UNSIGNED
    if not signature:
        raise _refusal(pod, "was not written by the cluster manager")
    by, of, raw, serial = _signature(pod, signature)
    if by not in trusted:
        raise _refusal(pod, f"is signed with key {by!r}, which is not one of the cluster manager's")
    allocations = podnetworks.read(f"{podnetworks.KIND} {pod.key}", text, only=of)
    if allocations.keys() != of or not trusted.verify(
        by, raw, _message(pod, podnetworks.render(allocations), serial)
    ):
        raise _refusal(pod, "differs from what the cluster manager wrote for this pod")
    return SignedAllocations(allocations, by, text, signature, serial)


def outdated(pod: model.PodRef) -> errors.InvalidInput:
    """The error of allocations that were signed before the pod lost some of them."""
    return _refusal(pod, "is older than what the cluster manager wrote for this pod last")


def _signature(pod: model.PodRef, text: str) -> tuple[str, frozenset[str], bytes, int]:
    try:
        entry = orjson.loads(text)
        by, of, raw = entry["by"], entry["of"], _raw(entry["signature"])
        serial = entry.get("serial", 0)
        if not isinstance(by, str) or not isinstance(of, list) or type(serial) is not int:
            raise ValueError
        return by, frozenset(map(str, of)), raw, serial
    except (ValueError, KeyError, TypeError, AttributeError):
        raise _refusal(pod, "has a signature that cannot be read") from None


def _message(pod: model.PodRef, text: str, serial: int) -> bytes:
    """What is signed; `text`: the allocations rendered."""
    parts = [_SUBJECT, pod.uid, pod.namespace, pod.name, text]
    return orjson.dumps([*parts, serial] if serial else parts)


def _raw(text: object) -> bytes:
    try:
        return base64.b64decode(str(text), validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None


def _refusal(pod: model.PodRef, rule: str) -> errors.InvalidInput:
    subject = f"{podnetworks.KIND} {pod.key}"
    return errors.InvalidInput(subject, names.POD_NETWORKS, None, rule, hint=_REMEDY)
