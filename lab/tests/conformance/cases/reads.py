"""Gets, lists, their selectors, pages and forms."""

from __future__ import annotations

from urllib.parse import quote

from lab.tests.conformance.cases.objects import (
    EVENTS,
    LEASES,
    MAPS,
    NADS,
    NODES,
    PODS,
    SERVICES,
    VMS,
    config,
    event,
    lease,
    machine,
    nad,
    pod,
    service,
)
from lab.tests.conformance.exchange import PARTIAL, PARTIALS, TABLE, Ask, Case

_LABELLED = tuple(
    Ask("POST", MAPS, config(f"m{number}", labels=labels))
    for number, labels in enumerate(
        ({"app": "a", "tier": "1"}, {"app": "b", "tier": "2"}, {"tier": "30"}, {})
    )
)
_SELECTORS = (
    *("app", "!app", "app=a", "app==a", "app!=a", "app in (a,b)", "app notin (a)", "tier>1"),
    *("tier<3", "app=a,tier=1", "app in ()", "app in (a", "a b", "=a", "app=", "app in (,a)"),
    *("app===a", "-app", "app=a b", "app=-", "x/y/z=1", "app>a", ",", "app=a,", "!app=a"),
)
_FIELDS = (
    *("metadata.name=m1", "metadata.name!=m1", "metadata.name==m1", "metadata.namespace={ns}"),
    *("metadata.name=m1,metadata.name=m2", "spec.x=1", "metadata.name", "=", "metadata.name=a=b"),
    *("metadata.uid=1", "metadata.labels=1"),
)


def _query(path: str, **query: str) -> str:
    return f"{path}?{'&'.join(f'{key}={quote(value)}' for key, value in query.items())}"


def _next(answers: list[object]) -> str:
    body = answers[-1]
    assert isinstance(body, dict)
    return f"{MAPS}?limit=2&continue={body['metadata'].get('continue', '')}"


_FORMS = tuple(
    Ask("GET", path, accept=accept)
    for path in (
        *(PODS, f"{PODS}/web", MAPS, NADS, LEASES, EVENTS, SERVICES, VMS, NODES),
        *("/api/v1/namespaces/{ns}", f"{VMS}/vm"),
    )
    for accept in (TABLE, PARTIALS if path[-1] == "s" else PARTIAL)
)

CASES = (
    Case(
        "label-selectors",
        _LABELLED + tuple(Ask("GET", _query(MAPS, labelSelector=each)) for each in _SELECTORS),
    ),
    Case(
        "field-selectors",
        _LABELLED
        + tuple(Ask("GET", _query(MAPS, fieldSelector=each)) for each in _FIELDS)
        + tuple(
            Ask("GET", _query(PODS, fieldSelector=each))
            for each in ("spec.nodeName=n", "status.phase=Running", "spec.nodename=n", "status.x=1")
        ),
    ),
    Case(
        "pages",
        (
            *_LABELLED,
            Ask("GET", f"{MAPS}?limit=2"),
            Ask("GET", _next),
            Ask("GET", f"{MAPS}?limit=4"),
            Ask("GET", f"{MAPS}?limit=0"),
            Ask("GET", f"{MAPS}?limit=-1"),
            Ask("GET", f"{MAPS}?limit=x"),
            Ask("GET", f"{MAPS}?limit=2&continue=nonsense"),
            Ask("GET", f"{MAPS}?limit=1&labelSelector=app"),
        ),
    ),
    Case(
        "list-revisions",
        (
            Ask("POST", MAPS, config("m")),
            *(
                Ask("GET", f"{MAPS}?{query}")
                for query in (
                    *("resourceVersion=0", "resourceVersion=1", "resourceVersion=x"),
                    *("resourceVersion=-1", "resourceVersionMatch=Exact"),
                    "resourceVersionMatch=NotOlderThan",
                    "resourceVersion=0&resourceVersionMatch=NotOlderThan",
                    "resourceVersion=0&resourceVersionMatch=Exact",
                    "resourceVersion=1&resourceVersionMatch=Never",
                    "sendInitialEvents=true",
                )
            ),
            Ask("GET", f"{MAPS}/m?resourceVersion=0"),
            Ask("GET", f"{MAPS}/m?resourceVersion=x"),
        ),
    ),
    Case(
        "forms",
        (
            Ask("POST", PODS, pod("web", labels={"app": "web"})),
            Ask("POST", MAPS, config("m")),
            Ask("POST", NADS, nad("blue")),
            Ask("POST", LEASES, lease("l")),
            Ask("POST", EVENTS, event("e")),
            Ask("POST", SERVICES, service("s")),
            Ask("POST", VMS, machine("vm")),
            *_FORMS,
            Ask("GET", f"{PODS}?includeObject=None", accept=TABLE),
            Ask("GET", f"{PODS}?includeObject=Object", accept=TABLE),
            Ask("GET", f"{PODS}?includeObject=Else", accept=TABLE),
            Ask("GET", f"{PODS}/absent", accept=TABLE),
        ),
    ),
    Case(
        "accept",
        (
            Ask("POST", MAPS, config("m")),
            *(
                Ask("GET", f"{MAPS}/m", accept=accept)
                for accept in (
                    *("*/*", "application/*", "text/html", "application/xml", "", "text/html,*/*"),
                    *("application/yaml", "application/json;as=Nothing;v=v1;g=meta.k8s.io"),
                    "application/json;as=Table;v=v9;g=meta.k8s.io",
                    "application/json; charset=utf-8",
                )
            ),
        ),
    ),
    Case(
        "nothing-there",
        (
            Ask("GET", f"{MAPS}/absent"),
            Ask("GET", f"{NADS}/absent"),
            Ask("GET", "/api/v1/namespaces/absent"),
            Ask("GET", "/api/v1/namespaces/absent/configmaps"),
            Ask("GET", "/api/v1/namespaces/absent/configmaps/absent"),
            Ask("GET", f"{MAPS}/absent/status"),
            Ask("GET", f"{MAPS}/absent/other"),
            Ask("GET", f"{NADS}/absent/status"),
            Ask("GET", f"{PODS}/absent/log"),
            Ask("GET", "/api/v1/namespaces/{ns}/widgets"),
            Ask("GET", "/apis/k8s.cni.cncf.io/v1/namespaces/{ns}/widgets"),
            Ask("GET", f"{MAPS}/absent", user="stranger"),
            Ask("GET", f"{MAPS}/absent", user=""),
            Ask("TRACE", f"{MAPS}/absent"),
            Ask("PUT", MAPS, config("m")),
            Ask("POST", f"{MAPS}/m", config("m")),
            Ask("PATCH", MAPS, {}),
            Ask("DELETE", "/api/v1/namespaces"),
            Ask("HEAD", f"{MAPS}/absent"),
            Ask("GET", "/api/v1/namespaces/{ns}/nodes"),
            Ask("POST", "/api/v1/configmaps", config("m")),
        ),
    ),
)
