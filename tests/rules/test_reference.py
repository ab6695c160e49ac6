"""Reference pages list all that the source has, and links between pages lead somewhere."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools import reference
from weft import names

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), *sorted(ROOT.glob("*.md"))]
ANNOTATIONS = (ROOT / "docs/reference/annotations.md").read_text()
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
    ("path", "text"), reference.pages().items(), ids=lambda each: str(each)[-20:]
)
def test_the_page_says_what_the_code_says(path: Path, text: str) -> None:
    assert path.read_text() == text, "run python -m tools.reference"


def _anchors(page: Path) -> set[str]:
    heads = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.strip().lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize(
    "page",
    [*sorted((ROOT / "docs").rglob("*.md")), *sorted(ROOT.glob("*.md"))],
    ids=lambda p: p.name,
)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        path, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in _anchors(target), link


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
    assert f"`{annotation}`" in ANNOTATIONS or (
        prefix in ANNOTATIONS and f"`{name}`" in ANNOTATIONS
    )


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
    found = {
        reason
        for package in ("weft", "lab/weft_lab")
        for path in (ROOT / package).rglob("*.py")
        for reason in _reasons(path)
    }
    assert len(found) > 30, "the search finds the reasons"
    assert sorted(each for each in found - PROGRESS if f"`{each}`" not in DOCS) == []
