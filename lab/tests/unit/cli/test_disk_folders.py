"""Folders of disks, as they are typed and as the lab keeps them."""

from __future__ import annotations

from pathlib import Path

import pytest

from weft import errors
from weft_lab import spec
from weft_lab.cli import lab


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("/img", "/img"),
        ("img", "{here}/img"),
        ("qcow2:img", "qcow2:{here}/img"),
        ("./a:b", "{here}/a:b"),
        ("raw:/img", "raw:/img"),
    ],
)
def test_a_folder_is_named_from_where_one_stands(
    typed: str, kept: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert lab.absolute(typed) == kept.format(here=tmp_path)


def test_a_lab_keeps_its_folders_and_does_not_change_them_while_it_runs() -> None:
    made = spec.change(spec.Lab(), spec.Options(disks=("/a", "qcow2:/b")), running=False)
    assert made.disks == ("raw:/a", "qcow2:/b")
    assert spec.parse(spec.render(made)) == made
    assert spec.change(made, spec.Options(nodes=2), running=True).disks == made.disks
    with pytest.raises(errors.InvalidInput, match="running lab"):
        spec.change(made, spec.Options(disks=("/c",)), running=True)
