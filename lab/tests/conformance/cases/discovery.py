"""What the servers say of themselves."""

from __future__ import annotations

from lab.tests.conformance.exchange import Ask, Case

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
GROUPS = ("coordination.k8s.io", "events.k8s.io", "apiextensions.k8s.io", "k8s.cni.cncf.io")

CASES = (
    Case("version", (Ask("GET", "/version"),)),
    Case("health", tuple(Ask("GET", path) for path in ("/healthz", "/livez", "/readyz/ping"))),
    Case("core-versions", (Ask("GET", "/api"), Ask("GET", "/api/v1"))),
    Case("groups", (Ask("GET", "/apis"),)),
    *(
        Case(
            f"group-{group.partition('.')[0]}",
            (
                Ask("GET", f"/apis/{group}"),
                Ask("GET", f"/apis/{group}/v1"),
                Ask("GET", f"/apis/{group}/v7"),
            ),
        )
        for group in GROUPS
    ),
    Case("aggregated", tuple(Ask("GET", p, accept=AGGREGATED) for p in ("/api", "/apis"))),
    Case("no-group", (Ask("GET", "/apis/nowhere.example"), Ask("GET", "/apis/nowhere.example/v1"))),
    Case("no-path", (Ask("GET", "/nowhere"), Ask("POST", "/api", {}), Ask("GET", "/api/v2"))),
)
