"""The rules of the house that no linter knows; each failure names the file and the rule."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = (ROOT / "weft", ROOT / "lab/weft_lab")
SOURCES = sorted(path for each in PACKAGES for path in each.rglob("*.py"))
MODULES = [path for path in SOURCES if path.stat().st_size > 0]
GRAB_BAGS = {"utils", "util", "helpers", "helper", "manager", "base", "common", "misc"}


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


# A rule is one test for all files: thousands of small ones cost more than what they look at.


def test_a_module_is_read_in_one_sitting() -> None:
    for path in MODULES:
        assert len(path.read_text().splitlines()) <= 400, name(path)
        for function in functions(path):
            assert function.end_lineno is not None
            length = function.end_lineno - function.lineno + 1
            assert length <= 60, f"{name(path)}: {function.name} has {length} lines"


def test_a_module_says_which_question_it_answers() -> None:
    assert not [name(path) for path in MODULES if not ast.get_docstring(parsed(path))]


def test_rooms_are_named_after_their_subject() -> None:
    assert not [name(p) for p in SOURCES if GRAB_BAGS & {p.stem, p.parent.name}]


def test_no_shell_between_weft_and_a_program() -> None:
    for path in MODULES:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                forbidden = {"os.system", "os.popen", "asyncio.create_subprocess_shell"}
                assert called not in forbidden, name(path)
                assert not any(key.arg == "shell" for key in node.keywords), (name(path), called)


def test_nothing_outside_the_lab_knows_the_lab() -> None:
    knows = re.compile(r"^\s*(from|import) weft_lab\b", re.M)
    outside = [path for path in MODULES if path.is_relative_to(ROOT / "weft")]
    assert not [name(path) for path in outside if knows.search(path.read_text())]


def test_decisions_are_numbered_once() -> None:
    numbers = [path.name[:4] for path in (ROOT / "docs/adr").glob("*.md")]
    assert len(numbers) == len(set(numbers))
    for path in (ROOT / "docs/adr").glob("*.md"):
        text = path.read_text()
        for heading in ("**Status**", "**Context", "**Decision", "**Consequences"):
            assert heading in text, f"{path.name} lacks {heading}"


def test_documents_link_to_files_that_exist() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "lab").rglob("*.md")]
    for page in pages:
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{name(page)} links to {target}"


def test_the_lock_holds_no_address() -> None:
    for lock in ROOT.glob("requirements*.txt"):
        assert "://" not in lock.read_text()
        assert "--hash=sha256:" in lock.read_text()


def test_the_readme_is_one_screen_or_three() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) < 120
    assert len((ROOT / "CONTRIBUTING.md").read_text().splitlines()) < 80


def test_what_is_generated_is_not_committed() -> None:
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert not re.search(r"\.pyc$|^\.venv/|\.db$", tracked, re.M)


@pytest.mark.parametrize("folder", ["path", "rules", "state", "support", "tools", "unit"])
def test_tests_of_weft_need_no_lab(folder: str) -> None:
    """Those of real daemons do: the lab has the programs, and an API server."""
    for path in (ROOT / "tests" / folder).rglob("*.py"):
        text = path.read_text()
        assert not re.search(r"^(from|import) (weft_lab|lab)\b", text, re.M), name(path)


# Names that the glossary replaced: of classes, functions, methods and fields.
RETIRED = {
    "Asked": "PortName",
    "Cell": "PairResult",
    "Changes": "RowChanges or PolicyChanges",
    "Holder": "Referrer",
    "Holders": "Duplicates",
    "Ident": "RowKey",
    "Keeper": "a reconciler of its own name",
    "Kind": "NicKind or GroupKind",
    "Mark": "IndexKey",
    "Members": "PodSelector, or who is on a network",
    "Noted": "Affected",
    "Part": "RowOwner, GroupOwner or Task",
    "Parts": "what they are parts of: contents, components, artifacts",
    "Policies": "PolicyStatuses or PolicyEnforcement",
    "Service": "PolicyPort",
    "Wish": "a request, or DesiredValue",
    "Writer": "ApiWriter or OvnWriter",
    "definition_of": "nad_of",
    "holder": "owner or referrer",
    "holders": "owners or referrers",
    "mended": "fixed_in",
    "part_of": "owner_of",
    "subjects": "selected_pods",
}
# Words that stand in no name, of arguments, attributes and variables either.
RETIRED_WORDS = {
    "doubt": "suspect, unverified or recovery",
    "heed": "apply",
    "holdings": "allocations",
    "noted": "annotated, or contents of an annotation",
    "said": "message, output, response or event",
    "silence": "idle timeout, or close",
    "tell": "notify, report or emit",
    "teller": "descriptor",
    "told": "reported, notified or emitted",
    "twin": "duplicate",
    "twins": "duplicates",
    "voice": "device",
    "voices": "devices",
    "wanted": "desired, requested or expected",
    "wish": "request or desired",
    "wishes": "requests or desired",
}
# A service of a lab is a process, and the API server has the resource Service.
HOMONYMS = {"lab/weft_lab/service.py": {"Service"}}


def defined(tree: ast.Module) -> Iterator[str]:
    """Yields the names of classes, functions, methods and fields."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        if isinstance(node, ast.ClassDef):
            fields = (each.target for each in node.body if isinstance(each, ast.AnnAssign))
            yield from (each.id for each in fields if isinstance(each, ast.Name))


def bound(tree: ast.Module) -> Iterator[str]:
    """Yields the names of arguments, attributes and variables."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


def words(of: str) -> set[str]:
    return {each.lower() for each in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", of)}


def retired(names: Iterable[str]) -> dict[str, str]:
    """Returns the names with a retired word, and what to say instead."""
    found = {each: RETIRED_WORDS.keys() & words(each) for each in names}
    return {each: RETIRED_WORDS[min(of)] for each, of in found.items() if of}


def test_a_name_is_the_glossarys() -> None:
    for path in MODULES:
        tree = parsed(path)
        names = RETIRED.keys() & set(defined(tree)) - HOMONYMS.get(name(path), set())
        assert not names, (name(path), {each: RETIRED[each] for each in names})
        found = retired([*defined(tree), *bound(tree)])
        assert not found, (name(path), found)


TESTS = sorted(
    path for each in ("tests", "lab/tests", "bench") for path in (ROOT / each).rglob("*.py")
)


def test_a_name_in_a_test_is_the_glossarys() -> None:
    """The name of a test is a sentence, and variables inside a test are its own."""
    for path in TESTS:
        found = set(defined(parsed(path)))
        old = retired(each for each in found if not each.startswith("test_"))
        assert not old, (name(path), old)
        if path.is_relative_to(ROOT / "tests"):
            unclear = [each for each in found if "definition" in words(each)]
            assert not unclear, f"{name(path)}: say NAD or CRD instead of {unclear}"
        unclear = [each for each in found if re.search(r"(is|are)_told(?!_apart)", each)]
        assert not unclear, f"{name(path)}: say reported instead of {unclear}"


def test_a_retired_name_is_noticed() -> None:
    tree = ast.parse("class Holder:\n    mended: int\n    def subjects(self, told: int): ...\n")
    assert RETIRED.keys() & set(defined(tree)) == {"Holder", "mended", "subjects"}
    assert retired([*defined(tree), *bound(tree)]) == {"told": RETIRED_WORDS["told"]}
    assert not retired(["wished_for", "untold", "retell"])
