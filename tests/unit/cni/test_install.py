"""The plugin as a file in a runtime's folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from weft.cni import install


def test_both_names_run_as_they_are(tmp_path: Path) -> None:
    made = install.install(tmp_path / "bin")
    assert [path.name for path in made] == ["weft-cni", "ovn-k8s-cni-overlay"]
    assert sorted(os.listdir(tmp_path / "bin")) == sorted(install.NAMES)
    for path in made:
        done = subprocess.run(
            [path], input=b"{}", env={"CNI_COMMAND": "VERSION"}, capture_output=True, check=True
        )
        assert b"supportedVersions" in done.stdout


def test_installed_again_it_is_replaced_whole(tmp_path: Path) -> None:
    first = install.install(tmp_path)[0]
    first.write_text("old weft-cni 1 ")
    with first.open() as held:
        install.install(tmp_path)
        assert held.read() == "old weft-cni 1 "
    assert first.read_bytes() == install.render(os.path.realpath(sys.executable))


@pytest.mark.parametrize("interpreter", ["/opt/my python/python3", "/x" * 200])
def test_an_interpreter_that_no_first_line_can_name(interpreter: str) -> None:
    with pytest.raises(ValueError, match="first line"):
        install.render(interpreter)


def test_a_plugin_of_somebody_else_is_neither_replaced_nor_removed(tmp_path: Path) -> None:
    other = tmp_path / "ovn-k8s-cni-overlay"
    other.write_bytes(b"of somebody else")
    with pytest.raises(install.Foreign, match="ovn-k8s-cni-overlay"):
        install.install(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["ovn-k8s-cni-overlay"]
    install.install(tmp_path, names=["weft-cni"])
    assert install.remove(tmp_path) == [tmp_path / "weft-cni"]
    assert other.read_bytes() == b"of somebody else"
    assert install.remove(tmp_path / "none") == []
