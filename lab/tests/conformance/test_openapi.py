"""Both servers' OpenAPI documents say the same of the types that the lab serves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from lab.tests.conformance import documents, known
from lab.tests.conformance.exchange import Difference, differences
from lab.tests.conformance.servers import Api

pytestmark = pytest.mark.cluster

_HEADERS = {"Authorization": "Bearer admin", "Accept": "application/json"}


def _read(api: Api, path: str) -> Any:
    code, _, text = api.send("GET", path, None, _HEADERS)
    assert code == 200, (api.name, path, text[:200])
    return json.loads(text)


def _group_versions(api: Api) -> list[str]:
    """Where a server has types: api/v1, apis/coordination.k8s.io/v1, ..."""
    groups = _read(api, "/apis")["groups"]
    found = [each["groupVersion"] for group in groups for each in group["versions"]]
    return ["api/v1", *(f"apis/{name}" for name in found)]


@pytest.fixture(scope="module")
def found(pair: tuple[Api, Api]) -> list[Difference]:
    """What differs in all documents, each at document/part/place."""
    real, lab = pair
    served: set[str] = set()
    different: list[Difference] = []
    # Discovery is compared elsewhere: which groups one of them lacks is known.
    of_both = set(_group_versions(real))
    for name in (each for each in _group_versions(lab) if each in of_both):
        paths = documents.served(_read(lab, f"/{name}"), f"/{name}")
        served |= paths
        both = [_read(api, f"/openapi/v3/{name}") for api in pair]
        different += _compared(name.replace("/", "."), both, paths)
    both = [_read(api, "/openapi/v2") for api in pair]
    different += _compared("v2", both, served)
    indexes = [sorted(_read(api, "/openapi/v3")["paths"]) for api in pair]
    named = [dict.fromkeys(name.replace("/", ".") for name in index) for index in indexes]
    return [*different, *differences("index", *named)]


def _compared(name: str, both: list[Any], paths: set[str]) -> Iterator[Difference]:
    operations = [documents.paths(each, paths) for each in both]
    yield from differences(f"{name}/paths", *operations)
    # What the real server's operations lead to, in both.
    schemas = [documents.schemas(each, operations[0]) for each in both]
    yield from differences(f"{name}/schemas", *schemas)


def test_the_documents_say_the_same(found: list[Difference]) -> None:
    rest = known.unlisted(found, known.OPENAPI)
    assert not rest, "\n".join(["the documents differ:", *map(str, rest)])


def test_the_lab_documents_nothing_that_it_does_not_serve(pair: tuple[Api, Api]) -> None:
    _, lab = pair
    served = set[str]().union(
        *(documents.served(_read(lab, f"/{name}"), f"/{name}") for name in _group_versions(lab))
    )
    assert set(_read(lab, "/openapi/v2")["paths"]) <= served


def test_each_listed_difference_is_there(found: list[Difference]) -> None:
    gone = known.gone(found, known.OPENAPI)
    assert not gone, "\n".join(["listed, but not there any more:", *map(str, gone)])
