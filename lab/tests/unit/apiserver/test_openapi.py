from typing import Any

import orjson

from lab.tests.support.memory_cluster import World, crd
from weft_lab.apiserver import gnostic, openapi, protobuf
from weft_lab.apiserver.schemas import definitions


def references(schema: Any) -> set[str]:
    if isinstance(schema, dict):
        own = {schema["$ref"].rpartition("/")[2]} if isinstance(schema.get("$ref"), str) else set()
        return own.union(*map(references, schema.values()))
    return set().union(*map(references, schema)) if isinstance(schema, list) else set()


def test_all_definitions_are_there() -> None:
    known = definitions.builtin()
    assert references(list(known.values())) <= set(known)
    pod = known[f"{definitions.CORE}.PodSpec"]
    assert pod["required"] == ["containers"]
    containers = pod["properties"]["containers"]
    assert containers["x-kubernetes-patch-merge-key"] == "name"
    assert containers["x-kubernetes-list-type"] == "map"
    assert pod["properties"]["volumes"]["x-kubernetes-patch-strategy"] == "merge,retainKeys"


async def test_each_v3_document_is_closed_and_names_its_types(world: World) -> None:
    world.create("customresourcedefinitions", crd())
    await world.settle()
    documents = openapi.Documents(world.cluster.registry)
    index = orjson.loads(documents.index())["paths"]
    assert {"api/v1", "apis/example.com/v1", "apis/events.k8s.io/v1"} <= set(index)
    for name in index:
        document = orjson.loads(documents.group(name) or b"")
        schemas = document["components"]["schemas"]
        assert references(document) <= set(schemas)
    widgets = orjson.loads(documents.group("apis/example.com/v1") or b"")
    kind = {"group": "example.com", "version": "v1", "kind": "Widget"}
    schema = widgets["components"]["schemas"]["com.example.v1.Widget"]
    assert schema["x-kubernetes-group-version-kind"] == [kind]
    patch = widgets["paths"]["/apis/example.com/v1/namespaces/{namespace}/widgets/{name}"]["patch"]
    assert "fieldValidation" in [one["name"] for one in patch["parameters"]]
    assert documents.group("apis/none/v1") is None


async def test_documents_follow_the_types(world: World) -> None:
    documents = openapi.Documents(world.cluster.registry)
    before = documents.index()
    world.create("customresourcedefinitions", crd())
    await world.settle()
    assert documents.index() != before


async def test_the_v2_document_is_closed(world: World) -> None:
    documents = openapi.Documents(world.cluster.registry)
    document = orjson.loads(documents.all(protobuf=False))
    assert references(document) <= set(document["definitions"])
    assert documents.all(protobuf=True) == gnostic.encode(document)


def test_what_v2_cannot_say_is_left_open() -> None:
    port = {"x-kubernetes-int-or-string": True, "type": "string"}
    assert "type" not in openapi.to_v2(port)
    assert "type" not in openapi.to_v2({"type": "string", "nullable": True})
    free = {
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": True,
        "properties": {"a": {"type": "string"}},
    }
    assert "properties" not in openapi.to_v2(free)
    assert openapi.to_v2({"allOf": [{"$ref": "#/components/schemas/X"}]}) == {
        "$ref": "#/definitions/X"
    }


def test_a_document_in_protobuf_can_be_read_back() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "x-y": 1}}}
    document = {
        "swagger": "2.0",
        "info": {"title": "t", "version": "v"},
        "paths": {},
        "definitions": {"D": schema},
    }
    found = dict(protobuf.fields(gnostic.encode(document)))
    assert found[1] == b"2.0"
    named = dict(protobuf.fields(dict(protobuf.fields(found[9]))[1]))
    assert named[1] == b"D"
    body = dict(protobuf.fields(named[2]))
    assert dict(protobuf.fields(body[22])) == {1: b"object"}
    inner = dict(protobuf.fields(dict(protobuf.fields(body[25]))[1]))
    assert inner[1] == b"a"
