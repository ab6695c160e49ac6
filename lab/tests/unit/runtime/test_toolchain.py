import json
from pathlib import Path

import pytest

from weft import errors
from weft_lab.runtime import cache, debian, toolchain, wrappers


@pytest.mark.parametrize(
    ("output", "number"),
    [
        ("ovn-northd 25.03.0\nOpen vSwitch Library 3.5.0", (25, 3, 0)),
        ("QEMU emulator version 10.0.13 (Debian 1:10.0.13+ds-0+deb13u1)", (10, 0, 13)),
        ("Client Version: v1.32.4", (1, 32, 4)),
        ("nothing of the kind", ()),
    ],
)
def test_version_is_the_first_dotted_number(output: str, number: tuple[int, ...]) -> None:
    assert toolchain.version(output) == number


def test_an_unfinished_or_damaged_build_is_not_intact(tmp_path: Path) -> None:
    program = tmp_path / "ovn-northd"
    program.write_text("program")
    stamp = tmp_path / "complete.json"
    assert not toolchain._intact(stamp)
    stamp.write_text("{ half")
    assert not toolchain._intact(stamp)
    stamp.write_text(json.dumps({"sizes": {str(program): 7}}))
    assert toolchain._intact(stamp)
    program.write_text("prog")
    assert not toolchain._intact(stamp)
    program.unlink()
    assert not toolchain._intact(stamp)


@pytest.mark.parametrize("name", ["python3.13", "systemd", "udev", "perl-base", "dpkg"])
def test_what_only_an_installed_system_needs_is_left_out(name: str) -> None:
    assert debian.NOT_UNPACKED.match(name)


@pytest.mark.parametrize("name", ["libsystemd0", "libc6", "ovn-common", "libudev1", "libmount1"])
def test_libraries_are_kept(name: str) -> None:
    assert not debian.NOT_UNPACKED.match(name)


def test_the_first_complaint_of_apt_is_the_message() -> None:
    error = debian._fetch_error("W: old\nE: Unable to locate package ovn-central\nE: more")
    assert "Unable to locate package ovn-central" in error.what
    assert "mirror" in error.hint


def test_a_full_disk_is_named_before_anything_is_fetched(tmp_path: Path) -> None:
    with pytest.raises(errors.Unavailable, match="MB are free") as caught:
        cache.require_space(tmp_path, 10**18)
    assert "WEFT_CACHE" in caught.value.hint


def test_the_cache_folder_follows_the_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEFT_CACHE", str(tmp_path / "a" / "b"))
    assert cache.folder() == tmp_path / "a" / "b"
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("WEFT_CACHE", str(tmp_path / "file" / "b"))
    with pytest.raises(errors.Unavailable, match="cannot be made"):
        cache.folder()


def test_a_program_that_no_package_holds_is_named(tmp_path: Path) -> None:
    with pytest.raises(errors.Unavailable, match="ovn-northd"):
        wrappers.locate(tmp_path, "ovn-northd")


def test_what_a_lab_puts_on_path_is_not_the_hosts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("cache/tools-1/bin", "host"):
        (tmp_path / folder).mkdir(parents=True)
        program = tmp_path / folder / "ovn-northd"
        program.write_text("")
        program.chmod(0o755)
    monkeypatch.setenv("WEFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path}/cache/tools-1/bin:{tmp_path}/host")
    assert toolchain.host_program("ovn-northd") == str(tmp_path / "host/ovn-northd")
    monkeypatch.setenv("PATH", f"{tmp_path}/cache/tools-1/bin")
    assert toolchain.host_program("ovn-northd") is None


RELEASE = "6.12.1-cloud-amd64"


@pytest.mark.parametrize("image", [f"boot/vmlinuz-{RELEASE}", f"usr/lib/modules/{RELEASE}/vmlinuz"])
@pytest.mark.parametrize("folder", ["lib/modules", "usr/lib/modules"])
def test_a_kernel_is_found_wherever_a_release_of_debian_puts_it(
    tmp_path: Path, image: str, folder: str
) -> None:
    modules = tmp_path / folder / RELEASE
    (modules / "kernel").mkdir(parents=True)
    (tmp_path / image).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / image).touch()
    assert toolchain._kernel(tmp_path) == (tmp_path / image, modules)


@pytest.mark.parametrize("image", ["", f"boot/vmlinuz-{RELEASE}"])
def test_a_package_without_a_kernel_is_named(tmp_path: Path, image: str) -> None:
    if image:
        (tmp_path / "boot").mkdir()
        (tmp_path / image).touch()
    with pytest.raises(errors.Unavailable) as caught:
        toolchain._kernel(tmp_path)
    assert "package linux-image-cloud-amd64" in str(caught.value)
    assert ("modules/" if image else "image vmlinuz") in str(caught.value)
