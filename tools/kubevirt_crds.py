#!/usr/bin/env python3
"""Give the lab's two KubeVirt kinds the schema of a KubeVirt release.

    tools/kubevirt_crds.py validations_generated.go v1.9.0      # of KubeVirt's sources
    kubectl get crd -o yaml {virtualmachines,virtualmachineinstances}.kubevirt.io >crds.yaml
    tools/kubevirt_crds.py crds.yaml v1.9.0                     # on a cluster with KubeVirt

The file of sources is in pkg/virt-operator/resource/generate/components, and
KubeVirt generates it from its types; both ways give the same. Takes fields, types and rules, and no
text: what the lab does with a field is in lab/weft_lab/vm/fields.py. KubeVirt is licensed
under the Apache License 2.0, as weft is. Everything beside `spec` stays as it is in the lab's own
definitions, with the release in an annotation.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from weft_lab.vm import fields  # noqa: E402

FOLDER = ROOT / "lab/weft_lab/crds"
RELEASE = "lab.weft/kubevirt-release"
KINDS = ("virtualmachine", "virtualmachineinstance")
_PROSE = frozenset({"description", "x-kubernetes-validations"})
_BELOW = frozenset({"properties", "items", "additionalProperties"})
_ENTRY = re.compile(r"^\t\"(\w+)\": `(openAPIV3Schema:.*?)`,$", re.DOTALL | re.MULTILINE)


def main(source: str, release: str) -> None:
    for kind, whole in read(Path(source).read_text()).items():
        path = FOLDER / f"kubevirt-{kind}s.yaml"
        crd = yaml.safe_load(path.read_text())
        crd["metadata"].setdefault("annotations", {})[RELEASE] = release
        way = fields.MACHINE_WAY.rstrip(".") if kind == KINDS[1] else ""
        spec = taken(whole["properties"]["spec"], way)
        for each in crd["spec"]["versions"]:
            each["schema"]["openAPIV3Schema"]["properties"]["spec"] = spec
        path.write_text(yaml.dump(crd, Dumper=Dumper, sort_keys=False, width=160))


def read(text: str) -> dict[str, Any]:
    """The schemas of both kinds: of KubeVirt's sources, or of objects from a cluster."""
    entries = {name: yaml.safe_load(entry) for name, entry in _ENTRY.findall(text)}
    if entries:
        return {kind: entries[kind]["openAPIV3Schema"] for kind in KINDS}
    found = {}
    for crd in yaml.safe_load(text)["items"]:
        version = next(each for each in crd["spec"]["versions"] if each["name"] == "v1")
        found[crd["spec"]["names"]["singular"]] = version["schema"]["openAPIV3Schema"]
    return {kind: found[kind] for kind in KINDS}


def taken(schema: dict[str, Any], path: str, *, described: bool = True) -> dict[str, Any]:
    """One field's schema and all below it; `path` is empty for the spec of a VirtualMachine."""
    found: dict[str, Any] = {"description": fields.description(path)} if described else {}
    found |= {key: schema[key] for key in schema if key not in _PROSE | _BELOW}
    if rules := schema.get("x-kubernetes-validations"):
        found["x-kubernetes-validations"] = [{"rule": each["rule"]} for each in rules]
    if "properties" in schema:
        found["properties"] = {
            name: taken(inner, f"{path}.{name}".lstrip("."))
            for name, inner in schema["properties"].items()
        }
    if "items" in schema:
        found["items"] = taken(schema["items"], f"{path}[]", described=False)
    more = schema.get("additionalProperties")
    if more is not None:
        is_schema = isinstance(more, dict)
        found["additionalProperties"] = (
            taken(more, f"{path}.*", described=False) if is_schema else more
        )
    return found


class Dumper(yaml.SafeDumper):
    """Fields that have no others below them take one line each."""

    def represent_mapping(self, tag: str, mapping: Any, flow_style: Any = None) -> Any:
        is_leaf = "type" in mapping and not mapping.keys() & {"properties", "items", "jsonPath"}
        is_leaf &= not isinstance(mapping.get("additionalProperties"), dict)
        is_leaf &= not mapping.keys() & {"required", "x-kubernetes-validations", "anyOf"}
        return super().represent_mapping(tag, mapping, is_leaf)


if __name__ == "__main__":
    main(*sys.argv[1:3])
