"""A built wheel holds what a checkout does: each data file is declared in pyproject.toml."""

from __future__ import annotations

import tomllib
from fnmatch import fnmatch
from pathlib import Path, PurePath

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = (ROOT / "weft", ROOT / "lab/weft_lab")
DECLARED: dict[str, list[str]] = {
    package: patterns
    for each in PACKAGES
    for package, patterns in tomllib.loads((each.parent / "pyproject.toml").read_text())["tool"][
        "setuptools"
    ]["package-data"].items()
}
DATA = sorted(
    path.relative_to(each.parent)
    for each in PACKAGES
    for path in each.rglob("*")
    if path.is_file() and path.suffix != ".py" and "__pycache__" not in path.parts
)
MODULES = sorted({path.parent for each in PACKAGES for path in each.rglob("*.py")})


def is_declared(path: PurePath) -> bool:
    return any(
        fnmatch(str(path), f"{package.replace('.', '/')}/{pattern}")
        for package, patterns in DECLARED.items()
        for pattern in patterns
    )


@pytest.mark.parametrize("path", DATA, ids=str)
def test_a_file_beside_the_modules_is_packaged(path: Path) -> None:
    assert is_declared(path), "name it under [tool.setuptools.package-data] in pyproject.toml"


@pytest.mark.parametrize("folder", MODULES, ids=lambda folder: str(folder.relative_to(ROOT)))
def test_a_folder_of_modules_is_a_package(folder: Path) -> None:
    assert (folder / "__init__.py").is_file()


def test_those_who_import_weft_see_its_types() -> None:
    assert {Path("weft/py.typed"), Path("weft_lab/py.typed")} <= set(DATA)
