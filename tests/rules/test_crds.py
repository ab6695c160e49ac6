"""The lab's custom resources: structural schemas, and the columns and short names people type."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).resolve().parents[2] / "lab/weft_lab/crds"
FILES = sorted(FOLDER.glob("*.yaml"))


def schemas(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from schemas(inner, f"{path}.{name}")
    for word in ("items", "additionalProperties"):
        if isinstance(schema.get(word), dict):
            yield from schemas(schema[word], f"{path}[]")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_structural(path: Path) -> None:
    for crd in yaml.safe_load_all(path.read_text()):
        spec = crd["spec"]
        assert crd["metadata"]["name"] == f"{spec['names']['plural']}.{spec['group']}"
        assert [version["storage"] for version in spec["versions"]].count(True) == 1
        for version in spec["versions"]:
            for where, schema in schemas(version["schema"]["openAPIV3Schema"]):
                free = schema.get("x-kubernetes-int-or-string") or schema.get(
                    "x-kubernetes-preserve-unknown-fields"
                )
                assert "type" in schema or free, f"{path.name}{where} has no type"


@pytest.mark.parametrize(
    ("name", "short_names"),
    [
        ("network-attachment-definitions", ["net-attach-def", "nad"]),
        ("multi-networkpolicies", ["multi-policy", "mnp"]),
    ],
)
def test_what_people_type(name: str, short_names: list[str]) -> None:
    crd = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    names = crd["spec"]["names"]
    kind = names["kind"].lower()
    plural = kind[:-1] + "ies" if kind.endswith("y") else kind + "s"
    assert names["shortNames"] == [*short_names, kind, plural]


def test_kubectl_explains_every_field() -> None:
    """But an object's metadata, which Kubernetes describes: of that it takes no description."""
    for path in FOLDER.glob("*.yaml"):
        for version in yaml.safe_load(path.read_text())["spec"]["versions"]:
            for where, schema in schemas(version["schema"]["openAPIV3Schema"]):
                for name, one in (schema.get("properties") or {}).items():
                    is_own = (where, name) == ("", "metadata")
                    assert bool(one.get("description")) != is_own, f"{path.name}{where}.{name}"
