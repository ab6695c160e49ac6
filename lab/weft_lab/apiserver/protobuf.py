"""Decodes request bodies in protobuf: the few types that kubectl's own subcommands send.

`kubectl create namespace`, `create configmap`, `auth can-i` and their like use a typed client,
which sends nothing else. Answers are JSON, which it accepts. Field numbers are those of the
Kubernetes API's published messages.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator
from typing import Any

from weft_lab.apiserver import status

_MAGIC = b"k8s\x00"

# Message: `number name kind`; kinds are text, bytes, int, bool, time, port (a number or a name),
# count and flag (an int and a bool that 0 leaves out), a message's name, `[kind]` for lists,
# `{kind}` for maps from text.
_TEXT = """
Meta: 1 name text, 2 generateName text, 3 namespace text, 5 uid text, 6 resourceVersion text,
  7 generation count, 8 creationTimestamp time, 9 deletionTimestamp time,
  10 deletionGracePeriodSeconds int, 11 labels {text}, 12 annotations {text},
  13 ownerReferences [Owner], 14 finalizers [text]
Owner: 1 kind text, 3 name text, 4 uid text, 5 apiVersion text, 6 controller bool,
  7 blockOwnerDeletion bool
Namespace: 1 metadata Meta, 2 spec NamespaceSpec
NamespaceSpec: 1 finalizers [text]
ConfigMap: 1 metadata Meta, 2 data {text}, 3 binaryData {bytes}, 4 immutable bool
Secret: 1 metadata Meta, 2 data {bytes}, 3 type text, 4 stringData {text}, 5 immutable bool
ServiceAccount: 1 metadata Meta, 2 secrets [Reference], 3 imagePullSecrets [Name],
  4 automountServiceAccountToken bool
Reference: 1 kind text, 2 namespace text, 3 name text, 4 uid text, 5 apiVersion text
Name: 1 name text
Service: 1 metadata Meta, 2 spec ServiceSpec
ServiceSpec: 1 ports [ServicePort], 2 selector {text}, 3 clusterIP text, 4 type text,
  5 externalIPs [text], 7 sessionAffinity text, 8 loadBalancerIP text, 10 externalName text,
  11 externalTrafficPolicy text, 12 healthCheckNodePort count, 13 publishNotReadyAddresses flag,
  17 ipFamilyPolicy text, 18 clusterIPs [text], 19 ipFamilies [text]
ServicePort: 1 name text, 2 protocol text, 3 port int, 4 targetPort port, 5 nodePort count,
  6 appProtocol text
SelfSubjectAccessReview: 1 metadata Meta, 2 spec AccessSpec
AccessSpec: 1 resourceAttributes ResourceAttributes, 2 nonResourceAttributes PathAttributes
ResourceAttributes: 1 namespace text, 2 verb text, 3 group text, 4 version text, 5 resource text,
  6 subresource text, 7 name text
PathAttributes: 1 path text, 2 verb text
SelfSubjectRulesReview: 1 metadata Meta, 2 spec RulesSpec
RulesSpec: 1 namespace text
SelfSubjectReview: 1 metadata Meta
TokenRequest: 1 metadata Meta, 2 spec TokenSpec
TokenSpec: 1 audiences [text], 3 boundObjectRef Bound, 4 expirationSeconds int
Bound: 1 kind text, 2 apiVersion text, 3 name text, 4 uid text
Role: 1 metadata Meta, 2 rules [PolicyRule]
ClusterRole: 1 metadata Meta, 2 rules [PolicyRule], 3 aggregationRule Aggregation
PolicyRule: 1 verbs [text], 2 apiGroups [text], 3 resources [text], 4 resourceNames [text],
  5 nonResourceURLs [text]
Aggregation: 1 clusterRoleSelectors [Selector]
Selector: 1 matchLabels {text}, 2 matchExpressions [Expression]
Expression: 1 key text, 2 operator text, 3 values [text]
RoleBinding: 1 metadata Meta, 2 subjects [Subject], 3 roleRef RoleRef
ClusterRoleBinding: 1 metadata Meta, 2 subjects [Subject], 3 roleRef RoleRef
Subject: 1 kind text, 2 apiGroup text, 3 name text, 4 namespace text
RoleRef: 1 apiGroup text, 2 kind text, 3 name text
Eviction: 1 metadata Meta, 2 deleteOptions DeleteOptions
DeleteOptions: 1 gracePeriodSeconds int, 2 preconditions Preconditions, 3 orphanDependents bool,
  4 propagationPolicy text, 5 dryRun [text]
Preconditions: 1 uid text, 2 resourceVersion text
"""

Message = dict[int, tuple[str, str]]


def _read_messages() -> dict[str, Message]:
    found: dict[str, Message] = {}
    for line in _TEXT.replace("\n  ", " ").strip().splitlines():
        name, _, listed = line.partition(": ")
        entries = (one.split() for one in listed.split(","))
        found[name] = {int(number): (field, kind) for number, field, kind in entries}
    return found


def decode(body: bytes) -> dict[str, Any]:
    """The object, as JSON would have it; refused when its type is not among those known here."""
    try:
        if not body.startswith(_MAGIC):
            raise ValueError("it does not begin as Kubernetes' protobuf does")
        envelope = dict(fields(body[len(_MAGIC) :]))
        about = {number: value.decode() for number, value in fields(envelope[1])}
        message = _read_messages().get(about.get(2, ""))
        if message is None:
            kind = f"application/vnd.kubernetes.protobuf of kind {about.get(2)}"
            raise status.unsupported_media(kind, "application/json", "application/yaml")
        found = _object(message, envelope.get(2, b""), _read_messages())
    except (ValueError, KeyError, IndexError, TypeError, struct.error, UnicodeDecodeError) as error:
        raise status.bad_request(f"the body is not valid protobuf: {error}") from None
    return {"apiVersion": about.get(1, ""), "kind": about[2], **found}


def _varint(data: bytes, place: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[place]
        place += 1
        number |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return number, place


def fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Numbers and raw values: an int, or bytes for everything that has a length."""
    place = 0
    while place < len(data):
        tag, place = _varint(data, place)
        wire = tag & 7
        if wire == 0:
            value, place = _varint(data, place)
            yield tag >> 3, value - (1 << 64) if value >> 63 else value
        elif wire == 2:
            size, place = _varint(data, place)
            if place + size > len(data):
                raise ValueError("it ends inside a field")
            yield tag >> 3, data[place : place + size]
            place += size
        elif wire in {1, 5}:
            place += 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire} is not known")


def _object(message: Message, data: bytes, known: dict[str, Message]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for number, raw in fields(data):
        if number not in message:
            continue
        name, kind = message[number]
        if kind.startswith("["):
            found.setdefault(name, []).append(_value(kind[1:-1], raw, known))
        elif kind.startswith("{"):
            pair = dict(fields(raw))
            key = pair.get(1, b"").decode()
            found.setdefault(name, {})[key] = _value(kind[1:-1], pair.get(2, b""), known)
        else:
            value = _value(kind, raw, known)
            if value not in ("", None):
                found[name] = value
    return found


def _value(kind: str, raw: Any, known: dict[str, Message]) -> Any:
    if kind == "text":
        return raw.decode()
    if kind in {"int", "count"}:
        return int(raw) or (0 if kind == "int" else None)
    if kind in {"bool", "flag"}:
        return bool(raw) or (False if kind == "bool" else None)
    if kind == "bytes":
        return base64.b64encode(raw).decode()
    if kind == "time":
        return None  # the server sets all times of these types
    if kind == "port":
        parts = dict(fields(raw))
        return parts.get(3, b"").decode() if parts.get(1) else parts.get(2, 0)
    return _object(known[kind], raw, known)
