"""Objects and patches that are made from schemas get the same answers on both servers.

Compared are the code, the reason, and the object; the words are those of the table's cases.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings

from lab.tests.conformance.cases.objects import (
    CLAIMS,
    LEASES,
    MAPS,
    NADS,
    POLICIES,
    claim,
    config,
    lease,
    nad,
    policy,
)
from lab.tests.conformance.exchange import JSON, MERGE, level
from lab.tests.conformance.generated import objects
from lab.tests.conformance.servers import Api
from tests.support.apiserver import CRDS

pytestmark = pytest.mark.cluster

_TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
_TEXT, _FLAG, _NUMBER = {"type": "string"}, {"type": "boolean"}, {"type": "integer"}


def _parts(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


_LEASE = _parts(
    holderIdentity=_TEXT, leaseDurationSeconds=_NUMBER, leaseTransitions=_NUMBER, renewTime=_TEXT
)
# By the plural: where objects are, one of them, and the schema of what is generated in it.
_KINDS: dict[str, tuple[str, dict[str, Any], Any]] = {
    "network-attachment-definitions": (NADS, nad("n"), None),
    "ipamclaims": (CLAIMS, claim("c"), None),
    "multi-networkpolicies": (POLICIES, policy("p"), None),
    "configmaps": (MAPS, config("m"), _parts(data=_TEXTS, binaryData=_TEXTS, immutable=_FLAG)),
    "leases": (LEASES, lease("l"), _parts(spec=_LEASE)),
}
_HEADERS = {"Authorization": "Bearer admin", "Accept": "application/json"}
_BOUNDED = settings(
    max_examples=150,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def schema(plural: str) -> Any:
    """That of a definition's spec, or what is written above of a built-in type."""
    _, base, found = _KINDS[plural]
    if found is not None:
        return found
    for path in sorted(Path(CRDS).glob("*.yaml")):
        spec = yaml.safe_load(path.read_text())["spec"]
        if spec["names"]["plural"] == plural:
            served = {each["name"]: each["schema"]["openAPIV3Schema"] for each in spec["versions"]}
            version = base["apiVersion"].rpartition("/")[2]
            return _parts(spec=served[version]["properties"]["spec"])
    raise AssertionError(plural)


def answer(api: Api, method: str, path: str, body: Any, media: str) -> Any:
    data = json.dumps(body).encode()
    code, _, text = api.send(method, path, data, {**_HEADERS, "Content-Type": media})
    found = json.loads(text)
    if found.get("kind") == "Status":
        causes = (found.get("details") or {}).get("causes") or ()
        return code, found.get("reason"), sorted({each.get("field", "") for each in causes})
    return code, "", level(found, managed=False)


@pytest.mark.parametrize("plural", _KINDS)
def test_objects_from_schemas_are_taken_alike(pair: tuple[Api, Api], plural: str) -> None:
    path, base, _ = _KINDS[plural]
    path = path.replace("{ns}", "default")

    @_BOUNDED
    @given(objects(schema(plural)))
    def run(made: dict[str, Any]) -> None:
        body = {**base, **made}
        asked = "POST", f"{path}?dryRun=All", body, JSON
        real, lab = (answer(api, *asked) for api in pair)
        assert real == lab, body

    run()


@pytest.mark.parametrize("plural", _KINDS)
def test_patches_from_schemas_are_taken_alike(pair: tuple[Api, Api], plural: str) -> None:
    path, base, _ = _KINDS[plural]
    path = path.replace("{ns}", "default")
    kept = {**base, "metadata": {"name": "patched"}}
    for api in pair:
        assert answer(api, "POST", path, kept, JSON)[0] == 201

    @_BOUNDED
    @given(objects(schema(plural)))
    def run(made: dict[str, Any]) -> None:
        asked = "PATCH", f"{path}/patched?dryRun=All", made, MERGE
        real, lab = (answer(api, *asked) for api in pair)
        assert real == lab, made

    run()
    for api in pair:
        assert answer(api, "DELETE", f"{path}/patched", {}, JSON)[0] == 200
