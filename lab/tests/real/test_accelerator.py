"""A guest that boots counts, a device that opens does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from weft import errors
from weft_lab.runtime import cache
from weft_lab.runtime import toolchain as toolchains
from weft_lab.vm import accelerator, guest

pytestmark = pytest.mark.real


def test_a_guest_that_comes_up_in_time_counts(toolchain: toolchains.Toolchain) -> None:
    image = guest.ensure(toolchain)
    assert accelerator.boots(toolchain, image, "tcg", deadline=60)
    assert not accelerator.boots(toolchain, image, "tcg", deadline=0.05), "a hang is no boot"


def test_a_verdict_is_kept(
    toolchain: toolchains.Toolchain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = guest.ensure(toolchain)
    monkeypatch.delenv("WEFT_ACCEL", raising=False)
    monkeypatch.setattr(accelerator, "DEVICE", "/dev/null")
    monkeypatch.setattr(cache, "folder", lambda: tmp_path)
    first = accelerator.choose(toolchain, image)
    (kept,) = tmp_path.glob("accelerator-*")
    kept.write_text("kvm" if first == "tcg" else "tcg")
    assert accelerator.choose(toolchain, image) != first


def test_a_user_may_overrule_it(
    toolchain: toolchains.Toolchain, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = guest.ensure(toolchain)
    monkeypatch.setenv("WEFT_ACCEL", "tcg")
    assert accelerator.choose(toolchain, image) == "tcg"
    monkeypatch.setenv("WEFT_ACCEL", "fast")
    with pytest.raises(errors.InvalidInput, match="neither kvm nor tcg"):
        accelerator.choose(toolchain, image)
