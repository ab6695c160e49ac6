"""Reference pages list all that the source has, and links between pages lead somewhere."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools import annotationkeys, reference
from weft import metrics, names, reasons

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), *sorted(ROOT.glob("*.md"))]


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


def test_every_annotation_is_listed() -> None:
    """Keys of Kubernetes objects stand in `names` before those of OVN's rows."""
    text = (ROOT / "weft/names.py").read_text().partition("# external_ids of the rows")[0]
    keys = re.findall(r'^[A-Z_]+ = "([\w.-]+/[\w-]+)"$', text, re.MULTILINE)
    assert sorted(keys) == sorted(one.key for one in annotationkeys.ALL)


def test_what_weft_alone_writes_is_guarded() -> None:
    """A policy's annotations bind nobody else: whoever writes them could write the policy."""
    policy = (ROOT / "deploy/admission-policy.yaml").read_text()
    guarded = [
        one.key
        for one in annotationkeys.ALL
        if one.by in annotationkeys.WEFT and one.on in ("Pod", "Node", "NAD")
    ]
    open_to_others = [names.NETWORK_IN_USE, names.UDN_LABEL]  # nothing is believed of them
    assert [key for key in guarded if f"'{key}'" not in policy] == open_to_others


def _constants(path: Path) -> Iterator[str]:
    """Every text of a module, with "…" for what an f-string puts in."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.JoinedStr):
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@pytest.fixture(scope="module")
def texts() -> str:
    """All texts of the source, without those of the registries themselves."""
    return "\n".join(
        text
        for package in ("weft", "lab/weft_lab")
        for path in sorted((ROOT / package).rglob("*.py"))
        if path.name != "reasons.py"
        for text in _constants(path)
    )


@pytest.mark.parametrize("reason", reference.REASONS)
def test_a_message_is_explained_as_the_code_words_it(
    reason: reasons.EventReason, texts: str
) -> None:
    for pattern, _ in reason.cases:
        for part in pattern.split("…"):
            assert part.strip(" :.,") in texts, part


@pytest.mark.parametrize("registry", ["Reason", "Metric"])
def test_all_that_is_listed_is_in_use(registry: str) -> None:
    used: set[str] = set()
    for package in ("weft", "lab/weft_lab"):
        for path in (ROOT / package).rglob("*.py"):
            used |= set(re.findall(rf"{registry}\.([A-Z_]+)", path.read_text()))
    listed = reference.REASONS if registry == "Reason" else list(metrics.Metric)
    assert [each for each in listed if each.name not in used] == []
