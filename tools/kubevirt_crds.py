#!/usr/bin/env python3
"""Give the lab's two KubeVirt kinds the fields of a KubeVirt release.

    kubectl get crd virtualmachines.kubevirt.io -o yaml >vm.yaml        # on a cluster with KubeVirt
    tools/kubevirt_crds.py vm.yaml

Takes names and types of fields, and no text: what the lab does with a field is described by
lab/weft_lab/vm/fields.py. What must be there and which values are allowed the lab's VM controller
says itself, at the object. Everything else in the lab's definitions stays as it is.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from weft_lab.vm import fields  # noqa: E402

FOLDER = ROOT / "lab/weft_lab/crds"
KEPT = (
    *("type", "format", "nullable", "x-kubernetes-int-or-string"),
    "x-kubernetes-preserve-unknown-fields",
)


def main() -> None:
    upstream = yaml.safe_load(Path(sys.argv[1]).read_text())
    version = next(each for each in upstream["spec"]["versions"] if each["name"] == "v1")
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    machine = taken(spec, "")
    instance = machine["properties"]["template"]["properties"]["spec"]
    for name, schema in (("virtualmachines", machine), ("virtualmachineinstances", instance)):
        path = FOLDER / f"kubevirt-{name}.yaml"
        crd = yaml.safe_load(path.read_text())
        for each in crd["spec"]["versions"]:
            each["schema"]["openAPIV3Schema"]["properties"]["spec"] = schema
        path.write_text(yaml.dump(crd, Dumper=Dumper, sort_keys=False, width=160))


def taken(schema: dict[str, Any], path: str) -> dict[str, Any]:
    """One field's schema and all below it; `path` is empty for the spec of a VirtualMachine."""
    found: dict[str, Any] = {"description": fields.description(path)}
    found |= {key: schema[key] for key in KEPT if key in schema}
    if "properties" in schema:
        # A slip reaches the controller, which tells what may be meant at the object.
        found["x-kubernetes-preserve-unknown-fields"] = True
        found["properties"] = {
            name: taken(inner, f"{path}.{name}".lstrip("."))
            for name, inner in schema["properties"].items()
        }
    if "items" in schema:
        found["items"] = taken(schema["items"], f"{path}[]")
        del found["items"]["description"]
    if isinstance(schema.get("additionalProperties"), dict):
        found["additionalProperties"] = taken(schema["additionalProperties"], f"{path}.*")
        del found["additionalProperties"]["description"]
    return found


class Dumper(yaml.SafeDumper):
    """Fields that have no others below them take one line each."""

    def represent_mapping(self, tag: str, mapping: Any, flow_style: Any = None) -> Any:
        is_leaf = "type" in mapping and not mapping.keys() & {"properties", "items", "jsonPath"}
        is_leaf &= not isinstance(mapping.get("additionalProperties"), dict)
        return super().represent_mapping(tag, mapping, is_leaf)


if __name__ == "__main__":
    main()
