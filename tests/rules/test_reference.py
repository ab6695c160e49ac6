"""Documents that list everything of a kind list all of it: settings, annotations, Event reasons."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from weft import names
from weft.app import settings

ROOT = Path(__file__).resolve().parents[2]
CLUSTER = (ROOT / "docs/reference/cluster.md").read_text()
DOCS = "\n".join(path.read_text() for path in sorted((ROOT / "docs").rglob("*.md")))

TYPES = {"Normal", "Warning"}
EMITTERS = {"emit", "_tell", "_lack"}
# Reasons of Events that report progress, as Kubernetes' own controllers have them.
PROGRESS = {
    *("AddedInterface", "Created", "Killing", "Pulled", "Scheduled", "Started"),
    *("SuccessfulCreate", "SuccessfulDelete"),
}
REASON = re.compile(r"[A-Z][a-z]+([A-Z]+[a-z]*)*")


@pytest.mark.parametrize(
    "flag", sorted({each.flag for each in (*settings.CLUSTER_MANAGER, *settings.AGENT)})
)
def test_every_setting_is_listed(flag: str) -> None:
    assert f"`{flag}`" in CLUSTER


@pytest.mark.parametrize(
    "annotation",
    [
        *(names.NETWORKS, names.CHOSEN_DEFAULT, names.NETWORK_STATUS),
        *(names.POD_NETWORKS, names.POD_NETWORKS_SIGNATURE),
        *(names.NETWORK_NAME, names.NETWORK_ID, names.NETWORK_OWNER, names.ACCEPTED_CONFIG),
        *(names.NODE_ID, names.NODE_SUBNETS, names.NODE_TRANSIT),
        *(names.NODE_CHASSIS_ID, names.NODE_ENCAP_IPS, names.NODE_GATEWAY),
        *(names.POLICY_FOR, names.POLICY_MODE, names.ACCEPTED_POLICY, names.ACL_LOGGING),
        names.NETWORK_IN_USE,
    ],
)
def test_every_annotation_is_listed(annotation: str) -> None:
    prefix, _, name = annotation.partition("/")
    assert f"`{annotation}`" in CLUSTER or (prefix in CLUSTER and f"`{name}`" in CLUSTER)


def _reasons(path: Path) -> Iterator[str]:
    """Constants that a module hands to an emitter, names REASON, or yields beside a type."""
    for node in ast.walk(ast.parse(path.read_text())):
        found: list[ast.expr] = []
        match node:
            case ast.Call(func=ast.Attribute(attr=attr)) if attr in EMITTERS:
                found = node.args
            case ast.Tuple(elts=[ast.Constant(value="Warning" | "Normal"), *rest]):
                found = rest
            case ast.Assign(targets=[ast.Name(id="REASON")], value=value):
                found = [value]
        for each in found:
            text = each.value if isinstance(each, ast.Constant) else None
            if isinstance(text, str) and REASON.fullmatch(text) and text not in TYPES:
                yield text


def test_every_reason_of_an_event_is_explained() -> None:
    found = {reason for path in (ROOT / "weft").rglob("*.py") for reason in _reasons(path)}
    assert len(found) > 30, "the search finds the reasons"
    assert sorted(each for each in found - PROGRESS if f"`{each}`" not in DOCS) == []
