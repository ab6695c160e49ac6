"""Serves lists: selection, their resource version, and their pages.

A list with a limit keeps the chosen items until the client has fetched all pages. Items never
change, so this costs references only, and all pages show one moment.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from weft_lab.apiserver import items, selectors, status, store
from weft_lab.apiserver.resources import Resource

_KEPT = 64


@dataclass(frozen=True, slots=True)
class Selection:
    """What a client wants to see, parsed."""

    namespace: str
    labels: selectors.Predicate | None
    fields: selectors.Predicate | None
    key: store.Key | None = None

    def choose(self, collection: store.Collection) -> list[store.Item]:
        if self.key is not None:
            item = collection.items.get(self.key)
            found = [item] if item is not None else []
        else:
            found = collection.select(self.namespace)
        if self.fields is not None:
            found = [item for item in found if self.fields(item.fields)]
        if self.labels is not None:
            found = [item for item in found if self.labels(item.labels)]
        return found


def selection(resource: Resource, namespace: str, query: Mapping[str, str]) -> Selection:
    text = query.get("fieldSelector", "")
    name = selectors.exact_field(text, "metadata.name") if text else None
    whole = name is not None and (bool(namespace) or not resource.namespaced)
    return Selection(
        namespace,
        selectors.parse_labels(query.get("labelSelector", "")),
        selectors.parse_fields(text, items.field_names(resource), custom=resource.custom),
        (namespace, name) if whole and name is not None else None,
    )


@dataclass(frozen=True, slots=True)
class Page:
    """One part of a list."""

    items: list[store.Item]
    revision: int
    token: str = ""
    remaining: int | None = None

    def meta(self) -> dict[str, object]:
        meta: dict[str, object] = {"resourceVersion": str(self.revision)}
        if self.token:
            meta["continue"] = self.token
            if self.remaining:
                meta["remainingItemCount"] = self.remaining
        return meta


class Pages:
    """Lists of which clients have not fetched all pages."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[int, list[store.Item], bool]] = OrderedDict()

    def first(
        self, chosen: list[store.Item], revision: int, limit: int, *, counted: bool = True
    ) -> Page:
        """counted: whether the parts tell how many items are to come."""
        if not limit or len(chosen) <= limit:
            return Page(chosen, revision)
        name = secrets.token_hex(8)  # none that an earlier life of the server gave
        self._kept[name] = revision, chosen, counted
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return self._part(name, 0, limit)

    def following(self, token: str, limit: int) -> Page:
        try:
            given = orjson.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
            name, start = str(given["list"]), int(given["start"])
            if start < 0:
                raise ValueError
        except (binascii.Error, ValueError, KeyError, TypeError, OverflowError):
            raise status.bad_request("continue key is not valid: use what the list gave") from None
        if name not in self._kept:
            raise status.gone(
                "The provided continue parameter is too old to display a consistent list result."
                " You must start a new list without the continue parameter."
            )
        return self._part(name, start, limit)

    def _part(self, name: str, start: int, limit: int) -> Page:
        revision, chosen, counted = self._kept[name]
        end = start + limit if limit else len(chosen)
        if end >= len(chosen):
            return Page(chosen[start:], revision)
        token = base64.urlsafe_b64encode(orjson.dumps({"list": name, "start": end}))
        left = len(chosen) - end if counted else None
        return Page(chosen[start:end], revision, token.rstrip(b"=").decode(), left)


def read_number(query: Mapping[str, str], name: str) -> int:
    """A number of the query; 0 if it is absent."""
    text = query.get(name, "")
    if not text:
        return 0
    if re.fullmatch(r"[+-]?[0-9]{1,18}", text) is None:
        raise status.bad_request(_no_number("Int", text))
    return max(0, int(text))


def _no_number(kind: str, text: str) -> str:
    return f"strconv.Parse{kind}: parsing {status.quote(text[:40])}: invalid syntax"


def read_revision(query: Mapping[str, str], *, watch: bool = False) -> int:
    text = query.get("resourceVersion", "")
    if text and re.fullmatch(r"[0-9]{1,18}", text) is None:
        cause = status.wrong("resourceVersion", text[:40], _no_number("Uint", text))
        message = f"{cause.field}: {cause.message}"
        if watch:
            raise status.ApiError(500, "", message)
        raise status.bad_request(f"invalid resource version: {message}")
    return int(text or 0)


def check_options(query: Mapping[str, str], *, watch: bool) -> None:
    """What a list or a watch may ask for together."""
    causes = []
    revision, match = query.get("resourceVersion", ""), query.get("resourceVersionMatch", "")
    initial = query.get("sendInitialEvents")
    if watch:
        causes += _watch_causes(match, initial)
    elif initial is not None:
        causes.append(status.barred("sendInitialEvents", "sendInitialEvents is forbidden for list"))
    elif match:
        causes += _match_causes(query, revision, match)
    if causes:
        raise status.invalid("meta.k8s.io", "ListOptions", "", causes)


def _match_causes(query: Mapping[str, str], revision: str, match: str) -> list[status.Cause]:
    field, causes = "resourceVersionMatch", []
    if not revision:
        why = f"{field} is forbidden unless resourceVersion is provided"
        causes.append(status.barred(field, why))
    if query.get("continue"):
        causes.append(status.barred(field, f"{field} is forbidden when continue is provided"))
    if match not in ("Exact", "NotOlderThan"):
        causes.append(status.unsupported(field, match, ("Exact", "NotOlderThan", "")))
    if match == "Exact" and revision == "0":
        why = f'{field} "exact" is forbidden for resourceVersion "0"'
        causes.append(status.barred(field, why))
    return causes


def _watch_causes(match: str, initial: str | None) -> list[status.Cause]:
    field = "resourceVersionMatch"
    if initial is None:
        if not match:
            return []
        why = f"{field} is forbidden for watch unless sendInitialEvents is provided"
        return [status.barred(field, why)]
    causes = []
    if match != "NotOlderThan":
        why = f"sendInitialEvents requires setting {field} to NotOlderThan"
        causes.append(status.barred(field, why))
    if match not in ("", "NotOlderThan"):
        causes.append(status.unsupported(field, match, ("NotOlderThan",)))
    return causes


def check_revision(query: Mapping[str, str], current: int) -> None:
    """Refuse a revision of the future, and an exact one of the past, which is not kept."""
    revision = read_revision(query)
    if revision > current:
        raise status.too_new(revision, current)
    if query.get("resourceVersionMatch") == "Exact" and 0 < revision < current:
        raise status.gone(f"The resourceVersion for the provided list is too old: {revision}")
