"""Where tests stand: a unit test beside its module's name, who else tests a module without, and no
file of tests without any."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MIRRORS = {"tests/unit": "weft", "lab/tests/unit": "lab/weft_lab"}
ELSEWHERE = ROOT / "tests/rules/tested_elsewhere.toml"


def modules(package: str) -> set[str]:
    found = (ROOT / package).rglob("*.py")
    return {str(each.relative_to(ROOT)) for each in found if not each.name.startswith("__")}


def mirrored(tests: str, package: str) -> dict[str, str]:
    """By unit test: the module whose name it has."""
    found = {}
    for path in (ROOT / tests).rglob("test_*.py"):
        inside = path.relative_to(ROOT / tests)
        module = Path(package) / inside.with_name(inside.name.removeprefix("test_"))
        found[str(path.relative_to(ROOT))] = str(module)
    return found


@pytest.mark.parametrize("tests", MIRRORS)
def test_a_unit_test_stands_beside_its_modules_name(tests: str) -> None:
    package = MIRRORS[tests]
    strays = {
        test: of for test, of in mirrored(tests, package).items() if not (ROOT / of).is_file()
    }
    assert not strays, "name a test after its module; what is of several belongs in state"


def test_a_module_without_a_unit_test_says_what_tests_it() -> None:
    by_test = tomllib.loads(ELSEWHERE.read_text())
    listed = [module for each in by_test.values() for module in each]
    assert len(listed) == len(set(listed)), "twice in the list"
    missing = {test for test in by_test if not (ROOT / test).is_file()}
    assert not missing, "the list names tests that are not there"
    every = {module for package in MIRRORS.values() for module in modules(package)}
    own = {of for tests, package in MIRRORS.items() for of in mirrored(tests, package).values()}
    assert every - own == set(listed), f"write a unit test, or name what tests it in {ELSEWHERE}"


def test_every_file_of_tests_has_one() -> None:
    """A file that lost its tests fails nowhere else."""
    files = [each for tests in ("tests", "lab/tests") for each in (ROOT / tests).rglob("test_*.py")]
    empty = [str(each.relative_to(ROOT)) for each in files if not has_tests(each.read_text())]
    assert files
    assert not empty


def has_tests(text: str) -> bool:
    return re.search(r"^\s*(async )?def test_|^Test\w+ = ", text, re.MULTILINE) is not None
