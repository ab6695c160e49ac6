"""Stock Kubernetes takes weft's CRDs and manifests as they are, by every way of kubectl."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.cluster import chart
from tests.cluster.access import Access, Object

pytestmark = pytest.mark.cluster
ROOT = Path(__file__).resolve().parents[2]
CRDS = sorted((ROOT / "lab/weft_lab/crds").glob("*.yaml"))
SHIPPED = sorted((ROOT / "deploy/chart/crds").glob("*.yaml"))
MANIFESTS = (ROOT / "deploy/rbac.yaml", ROOT / "deploy/admission-policy.yaml")
NAD: Object = {
    "apiVersion": "k8s.cni.cncf.io/v1",
    "kind": "NetworkAttachmentDefinition",
    "metadata": {"name": "valid", "namespace": "default"},
    "spec": {"config": '{"cniVersion": "1.0.0", "type": "weft-cni", "name": "valid"}'},
}


def crd(path: Path) -> Object:
    found: Object = yaml.safe_load(path.read_text())
    return found


@pytest.fixture(scope="module")
def defined(access: Access) -> Iterator[Access]:
    """With weft's CRDs established. The manifests go again, unless they are a chart's."""
    access.machines("writes definitions and rights of the whole cluster")
    for path in CRDS:
        access.kubectl("apply", "-f", str(path))
    for path in CRDS:
        access.wait("condition=Established", f"crd/{crd(path)['metadata']['name']}")
    is_installed = chart.is_installed(access)
    yield access
    if not is_installed:
        for path in MANIFESTS:
            access.kubectl("delete", "--ignore-not-found", "-f", str(path))


@pytest.mark.parametrize("path", CRDS, ids=lambda path: path.stem)
def test_a_crd_is_established_and_structural(defined: Access, path: Path) -> None:
    found = defined.get("crd", crd(path)["metadata"]["name"])
    conditions = {each["type"]: each["status"] for each in found["status"]["conditions"]}
    assert conditions["Established"] == "True"
    assert conditions["NamesAccepted"] == "True"
    assert "NonStructuralSchema" not in conditions
    assert "KubernetesAPIApprovalPolicyConformant" not in conditions


@pytest.mark.parametrize("path", [*CRDS, *MANIFESTS], ids=lambda path: path.stem)
def test_applying_twice_changes_nothing(defined: Access, path: Path) -> None:
    defined.kubectl("apply", "-f", str(path))
    for line in defined.kubectl("apply", "-f", str(path)).splitlines():
        assert line.endswith(" unchanged"), line


@pytest.mark.parametrize("path", [*CRDS, *MANIFESTS], ids=lambda path: path.stem)
def test_the_server_applies_it_too(defined: Access, path: Path) -> None:
    arguments = ("apply", "--server-side", "--force-conflicts", "-f", str(path))
    defined.kubectl(*arguments)
    for line in defined.kubectl(*arguments).splitlines():
        assert "serverside-applied" in line


@pytest.mark.parametrize("path", CRDS, ids=lambda path: path.stem)
def test_kubectl_explains_each_field(defined: Access, path: Path) -> None:
    names = crd(path)["spec"]["names"]
    for version in crd(path)["spec"]["versions"]:
        schema = version["schema"]["openAPIV3Schema"]
        api = f"--api-version={crd(path)['spec']['group']}/{version['name']}"
        part = "spec" if "spec" in schema["properties"] else "status"
        text = defined.kubectl("explain", api, f"{names['plural']}.{part}")
        assert names["kind"] in text
        for field in schema["properties"][part].get("properties", {}):
            assert field in text
        assert "<no description>" not in text.partition("FIELDS")[0]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_an_older_crd_is_replaced_as_the_page_says(defined: Access, path: Path) -> None:
    """docs/how-to/upgrade.md. Objects of the kind stay."""
    older = crd(path)
    name = older["metadata"]["name"]
    for version in older["spec"]["versions"]:
        version["additionalPrinterColumns"] = []
    defined.kubectl("replace", "-f", "-", data=older)
    defined.kubectl("apply", "-f", "-", data=NAD)
    assert defined.kubectl("replace", "-f", str(path)).strip().endswith(" replaced")
    for now, shipped in zip(
        defined.get("crd", name)["spec"]["versions"], crd(path)["spec"]["versions"], strict=True
    ):
        assert now.get("additionalPrinterColumns") == shipped.get("additionalPrinterColumns")
    assert defined.get("net-attach-def", "valid")["spec"] == NAD["spec"]


@pytest.mark.parametrize("way", [(), ("--server-side",), ("--dry-run=server",)], ids=str)
def test_an_unknown_field_is_refused_by_name(defined: Access, way: tuple[str, ...]) -> None:
    defined.kubectl("apply", *way, "-f", "-", data=NAD)
    odd = {**NAD, "spec": {**NAD["spec"], "subnet": "10.0.0.0/24"}}
    output = defined.kubectl("apply", *way, "-f", "-", data=odd, ok=False)
    assert "subnet" in output
    assert "NetworkAttachmentDefinition" in output or "k8s.cni.cncf.io" in output
