"""Watches: events, revisions, bookmarks, selectors that objects enter and leave."""

from __future__ import annotations

from typing import Any

from lab.tests.conformance.cases.objects import EVENTS, MAPS, NADS, PODS, config, nad, pod
from lab.tests.conformance.exchange import MERGE, PARTIAL, TABLE, Ask, Case, Said


def _since(step: int, query: str = "", path: str = MAPS) -> Any:
    """The path of a watch that begins after the answer of a step."""

    def found(answers: Said) -> str:
        begin = answers[step]["metadata"]["resourceVersion"]
        return f"{path}?watch=1&timeoutSeconds=1&resourceVersion={begin}{query}"

    return found


def _watch(query: str, path: str = MAPS) -> str:
    return f"{path}?watch=1&timeoutSeconds=1{query}"


_INITIAL = "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
_BOOKMARKS = "&allowWatchBookmarks=true"
_LABELLED = {"metadata": {"labels": {"app": "a"}}}
_EVENT = {
    "metadata": {"name": "old"},
    "involvedObject": {"kind": "ConfigMap", "name": "a", "namespace": "{ns}"},
    "reason": "Old",
    "type": "Normal",
}
_UNLABELLED = {"metadata": {"labels": {"app": None}}}

CASES = (
    Case(
        "watch-events",
        (
            Ask("GET", MAPS),
            Ask("POST", MAPS, config("m")),
            Ask("PATCH", f"{MAPS}/m", {"data": {"b": "c"}}, MERGE),
            Ask("PATCH", f"{MAPS}/m", {"data": {"b": "c"}}, MERGE),  # says nothing new
            Ask("POST", MAPS, config("held", finalizers=["example.com/a"])),
            Ask("DELETE", f"{MAPS}/held"),
            Ask("PATCH", f"{MAPS}/held", {"metadata": {"finalizers": None}}, MERGE),
            Ask("DELETE", f"{MAPS}/m"),
            Ask("GET", _since(0), lines=True),
            Ask("GET", _since(2), lines=True),
            Ask("GET", _since(0), lines=True, accept=PARTIAL),
            Ask("GET", _since(0), lines=True, accept=TABLE),
            Ask("GET", _since(0, "&fieldSelector=metadata.name%3Dheld"), lines=True),
            Ask("GET", _since(0, "&fieldSelector=metadata.name!%3Dheld"), lines=True),
        ),
    ),
    Case(
        "watch-custom",
        (
            Ask("GET", NADS),
            Ask("POST", NADS, nad("blue")),
            Ask("PATCH", f"{NADS}/blue", _LABELLED, MERGE),
            Ask("PATCH", f"{NADS}/blue", {"spec": {"config": "{}"}}, MERGE),
            Ask("PATCH", f"{NADS}/blue", _UNLABELLED, MERGE),
            Ask("DELETE", f"{NADS}/blue"),
            Ask("GET", _since(0, path=NADS), lines=True),
            Ask("GET", _since(0, "&labelSelector=app%3Da", NADS), lines=True),
            Ask("GET", _since(0, "&labelSelector=!app", NADS), lines=True),
            Ask("GET", _since(0, path=NADS), lines=True, accept=TABLE),
            Ask("GET", _since(0, path=NADS), lines=True, accept=PARTIAL),
        ),
    ),
    Case(
        "watch-selectors",
        (
            Ask("GET", MAPS),
            Ask("GET", PODS),
            Ask("POST", MAPS, config("m")),
            Ask("PATCH", f"{MAPS}/m", _LABELLED, MERGE),
            Ask("PATCH", f"{MAPS}/m", {"data": {"b": "c"}}, MERGE),
            Ask("PATCH", f"{MAPS}/m", _UNLABELLED, MERGE),
            Ask("DELETE", f"{MAPS}/m"),
            Ask("POST", PODS, pod("web")),
            Ask(
                "POST",
                f"{PODS}/web/binding",
                {"metadata": {"name": "web"}, "target": {"kind": "Node", "name": "n"}},
            ),
            Ask("PATCH", f"{PODS}/web/status", {"status": {"phase": "Running"}}, MERGE),
            Ask("DELETE", f"{PODS}/web?gracePeriodSeconds=0"),
            Ask("GET", _since(0, "&labelSelector=app"), lines=True),
            Ask("GET", _since(0, "&labelSelector=!app"), lines=True),
            Ask("GET", _since(0, "&labelSelector=app%3Db"), lines=True),
            Ask("GET", _since(4, "&labelSelector=app"), lines=True),
            Ask("GET", _since(1, "&fieldSelector=spec.nodeName%3Dn", PODS), lines=True),
            Ask("GET", _since(1, "&fieldSelector=spec.nodeName%3D", PODS), lines=True),
            Ask("GET", _since(1, "&fieldSelector=status.phase%3DPending", PODS), lines=True),
            Ask("GET", _since(1, "&fieldSelector=status.phase!%3DPending", PODS), lines=True),
            Ask("GET", _since(1, path=PODS), lines=True),
            Ask("GET", _watch("&labelSelector=%3Da")),
            Ask("GET", _watch("&fieldSelector=spec.x%3Da")),
        ),
    ),
    Case(
        "watch-revisions",
        (
            Ask("POST", MAPS, config("a", labels={"app": "a"})),
            Ask("POST", MAPS, config("b")),
            Ask("GET", _watch(""), lines=True),
            Ask("GET", _watch("&resourceVersion=0"), lines=True),
            Ask("GET", _watch("&resourceVersion=0&labelSelector=app"), lines=True),
            Ask("GET", _since(1), lines=True),
            Ask("GET", _since(0), lines=True),
            Ask("GET", _watch("&resourceVersion=x")),
            Ask("GET", _watch("&resourceVersion=-1")),
            Ask("POST", EVENTS, _EVENT),
            # Kubernetes caches no Events. Of what it caches it knows only the revisions since the
            # server's first list, which come before or after its own first writes.
            Ask("GET", _watch("&resourceVersion=1", EVENTS), lines=True),
            Ask("GET", f"{MAPS}?watch=1&timeoutSeconds=x"),
            Ask("GET", f"{MAPS}?watch=x&timeoutSeconds=1"),
            Ask("GET", f"{MAPS}?watch=false&timeoutSeconds=1"),
            Ask("GET", f"{MAPS}?watch=true&timeoutSeconds=1&limit=1", lines=True),
            Ask("GET", f"{MAPS}/a?watch=true&timeoutSeconds=1", lines=True),
            Ask("GET", "/api/v1/watch/namespaces/{ns}/configmaps?timeoutSeconds=1", lines=True),
            Ask("GET", "/api/v1/watch/namespaces/{ns}/configmaps/a?timeoutSeconds=1", lines=True),
            Ask("GET", _watch(""), user="nobody"),
            Ask("GET", "/api/v1/namespaces/{ns}/widgets?watch=1"),
            Ask("GET", _watch(""), lines=True, accept="text/html"),
        ),
    ),
    Case(
        "watch-initial",
        (
            Ask("POST", MAPS, config("a", labels={"app": "a"})),
            Ask("POST", MAPS, config("b")),
            Ask("GET", _watch(f"{_BOOKMARKS}{_INITIAL}"), lines=True),
            Ask(
                "GET", _watch(f"&allowWatchBookmarks=true&labelSelector=app{_INITIAL}"), lines=True
            ),
            Ask("GET", _watch(_INITIAL), lines=True),
            Ask("GET", _watch(f"&resourceVersion=0{_INITIAL}"), lines=True),
            Ask("GET", _since(1, f"{_BOOKMARKS}{_INITIAL}"), lines=True),
            Ask("GET", _watch("&sendInitialEvents=true&allowWatchBookmarks=true")),
            Ask("GET", _watch("&sendInitialEvents=true&resourceVersionMatch=Exact")),
            Ask("GET", _watch("&resourceVersionMatch=NotOlderThan")),
            Ask("GET", _watch("&sendInitialEvents=x&resourceVersionMatch=NotOlderThan")),
            Ask(
                "GET",
                _watch(
                    "&sendInitialEvents=false&resourceVersionMatch=NotOlderThan"
                    "&allowWatchBookmarks=true"
                ),
                lines=True,
            ),
            Ask(
                "GET",
                _watch(f"{_BOOKMARKS}{_INITIAL}"),
                lines=True,
                accept=PARTIAL,
            ),
            Ask("GET", _watch(f"{_BOOKMARKS}{_INITIAL}"), lines=True, accept=TABLE),
            Ask("GET", _watch(f"{_BOOKMARKS}{_INITIAL}", NADS), lines=True),
        ),
    ),
)
