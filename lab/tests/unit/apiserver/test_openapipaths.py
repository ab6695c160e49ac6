from __future__ import annotations

from lab.tests.support.memory_cluster import World, crd
from weft_lab.apiserver import openapipaths
from weft_lab.apiserver.openapipaths import Path


def paths_of(world: World, name: str) -> dict[str, Path]:
    resource = world.cluster.registry.get(name)
    assert resource is not None
    version = resource.version(resource.storage)
    gvk = {"group": resource.group, "version": version.name, "kind": resource.kind}
    return {path.text: path for path in openapipaths.paths(resource, version, gvk)}


def methods(path: Path) -> dict[str, str]:
    return {each.method: each.action for each in path.operations}


async def test_a_type_has_paths_for_all_that_can_be_done_to_it(world: World) -> None:
    found = paths_of(world, "pods")
    place = "/api/v1/namespaces/{namespace}/pods"
    assert methods(found[place]) == {
        "get": "list",
        "post": "post",
        "delete": "deletecollection",
    }
    assert methods(found["/api/v1/pods"]) == {"get": "list"}
    item = found[f"{place}/{{name}}"]
    assert methods(item) == {"get": "get", "put": "put", "patch": "patch", "delete": "delete"}
    assert item.names == ("name", "namespace")
    assert methods(found[f"{place}/{{name}}/binding"]) == {"post": "post"}
    (log,) = found[f"{place}/{{name}}/log"].operations
    assert "tailLines" in log.queries
    assert log.answers == {"200": ""}


async def test_types_of_the_whole_cluster_are_in_no_namespace(world: World) -> None:
    found = paths_of(world, "namespaces")
    assert set(found) == {
        "/api/v1/namespaces",
        "/api/v1/namespaces/{name}",
        "/api/v1/namespaces/{name}/status",
        "/api/v1/namespaces/{name}/finalize",
    }
    assert "delete" not in methods(found["/api/v1/namespaces"])  # one at a time


async def test_custom_types_take_no_strategic_merge_patch(world: World) -> None:
    world.create("customresourcedefinitions", crd())
    await world.settle()
    for name, takes in (("widgets.example.com", False), ("pods", True)):
        item = next(path for text, path in paths_of(world, name).items() if text.endswith("{name}"))
        (patch,) = [each for each in item.operations if each.method == "patch"]
        assert ("application/strategic-merge-patch+json" in patch.consumes) is takes
