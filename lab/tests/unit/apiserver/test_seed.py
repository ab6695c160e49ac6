"""Manifests that are there from the start."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.tests.support.memory_cluster import World
from weft import errors
from weft_lab.apiserver import seed


async def test_manifests_are_installed_once(tmp_path: Path, world: World) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("""
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.x.io}
spec:
  group: x.io
  scope: Cluster
  names: {plural: things, kind: Thing}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]
""")
    await seed.manifests(world.cluster, [tmp_path])
    assert world.cluster.registry.get("things.x.io")
    revision = world.cluster.store.revision
    await seed.manifests(world.cluster, [tmp_path])
    assert world.cluster.store.revision == revision
    path.write_text(path.read_text().replace("Thing}", "Thing, shortNames: [th]}"))
    await seed.manifests(world.cluster, [tmp_path])
    resource = world.cluster.registry.get("things.x.io")
    assert resource
    assert resource.short == ("th",)
    world.delete("customresourcedefinitions", "things.x.io")
    await world.settle()
    await seed.manifests(world.cluster, [tmp_path])
    assert world.cluster.registry.get("things.x.io")
    path.write_text("a: [")
    with pytest.raises(errors.InvalidInput, match="is not valid YAML"):
        await seed.manifests(world.cluster, [tmp_path])
