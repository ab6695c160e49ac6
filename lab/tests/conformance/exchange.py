"""Sends one request to both servers and tells in what their answers differ.

What no two servers can have alike (uids, times, revisions, generated names) is levelled first.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from lab.tests.conformance.servers import Api
from tests.support.patience import PATIENCE

JSON, MERGE = "application/json", "application/merge-patch+json"
STRATEGIC, PATCH = "application/strategic-merge-patch+json", "application/json-patch+json"
APPLY = "application/apply-patch+yaml"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
PARTIAL = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json"
PARTIALS = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json"
Said = list[Any]
RUN = f"-{secrets.token_hex(3)}"  # a server that runs on still has the namespaces of former runs


@dataclass(frozen=True, eq=False)
class Ask:
    """A request; `path` and `body` may be functions of the answers that came before."""

    method: str
    path: str | Callable[[Said], str]
    body: Any = None
    media: str = JSON
    accept: str = JSON
    user: str = "admin"
    headers: Mapping[str, str] = field(default_factory=dict)
    lines: bool = False  # the answer is a watch's, however many lines it has
    managed: bool = False  # managedFields are compared, too
    until: int = 0  # asked again until this is the code: a real server learns of roles by a watch


@dataclass(frozen=True, eq=False)
class Case:
    name: str
    asks: tuple[Ask, ...]


@dataclass(frozen=True)
class Difference:
    """`place` is case/step/path-in-the-answer."""

    place: str
    real: Any
    lab: Any

    def __str__(self) -> str:
        return f"{self.place}\n    real: {_short(self.real)}\n    lab:  {_short(self.lab)}"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
    return text if len(text) < 900 else f"{text[:900]}..."


MISSING = "(nothing)"
HEADERS = ("content-type", "warning", "retry-after", "cache-control", "www-authenticate", "allow")


def compare(case: Case, real: Api, lab: Api) -> Iterator[Difference]:
    """Each case has a namespace of its own, which its paths and bodies call {ns}."""
    earlier: dict[str, Said] = {"real": [], "lab": []}
    space = json.dumps({"metadata": {"name": f"{case.name}{RUN}"}}).encode()
    for api in (real, lab):
        api.send("POST", "/api/v1/namespaces", space, _headers(Ask("POST", ""), space))
    for number, ask in enumerate(case.asks):
        with ThreadPoolExecutor() as both:  # a watch takes a second, with either
            answers = [
                both.submit(_answer, api, case, ask, earlier[api.name]) for api in (real, lab)
            ]
        found = [answer.result() for answer in answers]
        yield from differences(f"{case.name}/{number}", *found)


def _answer(api: Api, case: Case, ask: Ask, earlier: Said) -> dict[str, Any]:
    path = ask.path(earlier) if callable(ask.path) else ask.path
    body = ask.body(earlier) if callable(ask.body) else ask.body
    data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    namespace = f"{case.name}{RUN}"
    data = data and data.replace(b"{ns}", namespace.encode())
    path = path.replace("{ns}", namespace)
    end = time.monotonic() + PATIENCE
    while True:
        code, sent, text = api.send(ask.method, path, data, _headers(ask, data))
        if code == ask.until or not ask.until or time.monotonic() > end:
            break
    found: Any = text.decode(errors="replace")
    if found and "json" in sent.get("content-type", [""])[0]:
        found = _decoded(found, lines=ask.lines)
    earlier.append(found)
    shown = {name: sorted(sent[name]) for name in HEADERS if name in sent}
    return {"code": code, "headers": shown, "body": level(found, managed=ask.managed)}


def _decoded(text: str, *, lines: bool) -> Any:
    """JSON; that of a watch is a list of events, unless it is refused."""
    try:
        found = json.loads(text)
    except json.JSONDecodeError:
        return [json.loads(line) for line in text.splitlines()]
    return [found] if lines and "type" in found else found


def _headers(ask: Ask, data: bytes | None) -> dict[str, str]:
    found = {"Accept": ask.accept, "User-Agent": "conformance/1", **ask.headers}
    if ask.user:
        found["Authorization"] = f"Bearer {ask.user}"
    if data is not None and ask.media:
        found["Content-Type"] = ask.media
    return found


_UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_REVISION = re.compile(r"(?i)(resource ?version[^0-9]{1,12}|current: |revision )\d+( \(\d+\))?")
_SUFFIX = re.compile(r"\b(gen-|UP)[bcdfghjklmnpqrstvwxz2456789]{5}\b")
_CREDENTIAL = re.compile(r"JTI=[-0-9a-z<>]+")
# A refused patch: Kubernetes quotes the whole patched object, the lab the patch.
_PATCHED = re.compile(
    r'(?s)(patch: |^)Invalid value: (".*?(\}|\])"|[{[].*?[}\]]): (?!.*Invalid value)'
)
# How Go values differ, which Kubernetes appends to a refused change of a pod.
_COMPARED = re.compile(r"(?s)\n@@.*?\n(?=\]?\Z)")
# The lab says which operation of a JSON patch does not fit, and why.
_REJECTED = re.compile(r"(due to an error in our request): .*")
_AGE = re.compile(r"^(\d+s|\d+m\d*s?)$")


def level(value: Any, *, managed: bool, name: str = "") -> Any:
    """The same with everything made equal that has to differ."""
    if isinstance(value, dict):
        found = {}
        for key, below in value.items():
            if key == "managedFields" and not managed:
                continue
            if key == "managedFields" and isinstance(below, list):
                below = sorted(below, key=_manager)  # their order is that of their times
            if key == "causes" and isinstance(below, list):
                # Kubernetes tells some of them twice, and of several managers in any order.
                below = [one for place, one in enumerate(below) if one not in below[:place]]
                if any(one.get("reason") == "FieldManagerConflict" for one in below):
                    below = sorted(below, key=lambda one: str(one.get("message")))
            found[key.replace(RUN, "")] = level(below, managed=managed, name=key)
        return found
    if isinstance(value, list):
        return [level(each, managed=managed, name=f"{name}[]") for each in value]
    if name in {"resourceVersion", "continue"} and value:
        return f"<{name}>"
    if name == "token" and isinstance(value, str) and value.count(".") == 2:
        return "<token>"
    if isinstance(value, str):
        text = _TIME.sub("<time>", _UID.sub("<uid>", value.replace(RUN, "")))
        text = _CREDENTIAL.sub("JTI=<id>", text)
        text = _SUFFIX.sub(r"\1<suffix>", _REVISION.sub(r"\1<revision>", text))
        text = _REJECTED.sub(r"\1", _COMPARED.sub("", text))
        text = _PATCHED.sub(r"\1Invalid value: <patch>: ", text)
        return "<age>" if name == "cells[]" and _AGE.match(text) else text
    return value


def _manager(entry: Any) -> list[str]:
    return [str(entry.get(part)) for part in ("operation", "manager", "apiVersion", "subresource")]


def differences(place: str, real: Any, lab: Any) -> Iterator[Difference]:
    if isinstance(real, dict) and isinstance(lab, dict):
        for key in sorted(real.keys() | lab.keys()):
            below = real.get(key, MISSING), lab.get(key, MISSING)
            yield from differences(f"{place}/{key}", *below)
    elif (named := _named(real)) and (others := _named(lab)):
        yield from differences(place, named, others)
    elif isinstance(real, list) and isinstance(lab, list) and len(real) == len(lab):
        for number, (one, other) in enumerate(zip(real, lab, strict=True)):
            yield from differences(f"{place}/{number}", one, other)
    elif real != lab or isinstance(real, bool) != isinstance(lab, bool):
        yield Difference(place, real, lab)


def _named(value: Any) -> dict[str, Any] | None:
    """A list as a mapping, where each element has a name of its own, as those of discovery."""
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        return None
    for key in ("name", "version", "resource", "subresource"):
        found = [each.get(key) or (each.get("metadata") or {}).get(key) for each in value]
        names = [name for name in found if isinstance(name, str)]
        if len(set(names)) == len(value):
            return {
                f"[{name.replace('/', '.')}]": each for name, each in zip(names, value, strict=True)
            }
    return None
