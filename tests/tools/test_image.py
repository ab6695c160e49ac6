"""The image's parts: the same files make the same archive, and every reader finds its index."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tools.image import debian, oci, sbom, tree, wheels
from weft import errors

FILES = {
    "usr/bin/weft": tree.File(b"#!", 0o755),
    "bin": tree.File(link="usr/bin"),
    "etc/passwd": tree.File(b"root"),
}
WHEN = 1_700_000_000


def layer(files: tree.Tree) -> tree.Layer:
    return tree.layer("weft", files, WHEN, {"tmp": 0o1777})


def image(files: tree.Tree = FILES) -> oci.Image:
    return oci.Image("localhost/weft:1", "amd64", WHEN, "1:1", ["/usr/bin/weft"], [layer(files)])


def members(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        found = [(each.name, archive.extractfile(each)) for each in archive]
    return {name: file.read() if file else b"" for name, file in found}


def test_the_same_files_make_the_same_image_in_whatever_order_they_come() -> None:
    again = image(dict(reversed(FILES.items())))
    assert oci.archive(again) == oci.archive(image())
    assert again.digest() == image().digest()
    assert image({**FILES, "etc/passwd": tree.File(b"toor")}).digest() != image().digest()


def test_a_layer_tells_nothing_of_who_built_it() -> None:
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(layer(FILES).blob))) as archive:
        told = {each.name: each for each in archive}
    assert list(told) == ["bin", "etc", "etc/passwd", "tmp", "usr", "usr/bin", "usr/bin/weft"]
    assert {(each.uid, each.gid, each.uname, each.mtime) for each in told.values()} == {
        (0, 0, "", WHEN)
    }
    assert {name: oct(each.mode) for name, each in told.items() if each.isdir()} == {
        "etc": "0o755",
        "tmp": "0o1777",
        "usr": "0o755",
        "usr/bin": "0o755",
    }
    assert told["bin"].linkname == "usr/bin"
    assert told["usr/bin/weft"].mode == 0o755


def test_every_digest_in_the_archive_is_of_a_blob_that_it_holds() -> None:
    found = members(oci.archive(image()))
    [top] = json.loads(found["index.json"])["manifests"]
    assert top["annotations"]["io.containerd.image.name"] == "localhost/weft:1"

    def blob(descriptor: dict[str, Any]) -> bytes:
        data = found["blobs/" + descriptor["digest"].replace(":", "/")]
        assert len(data) == descriptor["size"]
        assert "sha256:" + hashlib.sha256(data).hexdigest() == descriptor["digest"]
        return data

    manifest = json.loads(blob(top))
    config = json.loads(blob(manifest["config"]))
    [one] = manifest["layers"]
    unpacked = gzip.decompress(blob(one))
    assert config["rootfs"]["diff_ids"] == ["sha256:" + hashlib.sha256(unpacked).hexdigest()]
    assert config["created"] == "2023-11-14T22:13:20Z"
    [docker] = json.loads(found["manifest.json"])
    assert found[docker["Config"]] == blob(manifest["config"])
    assert [found[name] for name in docker["Layers"]] == [blob(one)]


def test_what_is_read_from_a_folder_can_be_written_to_one(tmp_path: Path) -> None:
    tree.write(tmp_path / "one", FILES)
    assert tree.read(tmp_path / "one", ["usr", "bin", "etc/passwd"]) == FILES


def wheel(folder: Path, name: str, version: str, about: str = "", **files: bytes) -> Path:
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            f"{name}-{version}.dist-info/METADATA",
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{about}\n",
        )
        for each, data in files.items():
            archive.writestr(f"{name}/{each}.py", data)
        archive.writestr(f"{name}/tests/test_it.py", b"")
        archive.writestr(f"{name}-{version}.data/purelib/{name}_more.py", b"")
        archive.writestr(f"{name}-{version}.data/scripts/run", b"")
    return path


def project(folder: Path, *needs: str) -> Path:
    path = folder / "pyproject.toml"
    path.write_text(f"[project]\ndependencies = {json.dumps(needs)}\n")
    return path


def test_the_image_gets_what_weft_needs_and_what_that_needs(tmp_path: Path) -> None:
    there = [
        wheel(tmp_path, "one", "1", "Requires-Dist: two\nRequires-Dist: w; sys_platform=='win32'"),
        wheel(tmp_path, "two", "2", "License-Expression: MIT\nRequires-Dist: x; extra == 'x'"),
        wheel(tmp_path, "lab_only", "3"),
    ]
    chosen = wheels.choose(there, project(tmp_path, "One>=1"), "3.13")
    assert [(each.name, each.version, each.licence) for each in chosen] == [
        ("one", "1", ""),
        ("two", "2", "MIT"),
    ]
    assert sorted(chosen[0].files) == ["one-1.dist-info/METADATA", "one_more.py"]
    with pytest.raises(errors.InvalidInput, match="must lock what is needed"):
        wheels.choose(there, project(tmp_path, "three"), "3.13")


def package(name: str = "ovn-common") -> debian.Package:
    return debian.Package(
        *(name, "25.03.0-1+b1", "amd64", "ovn (25.03.0-1)", "ab" * 32, "Debian <d@example.org>"),
        control=f"Package: {name}\nStatus: install ok installed\n",
        copyright=b"free\n",
    )


def test_the_list_of_parts_names_each_once_with_its_origin(tmp_path: Path) -> None:
    python = wheels.read(wheel(tmp_path, "one", "1"))
    told = json.loads(
        sbom.render("0.1", WHEN, suite="trixie", packages=[package()], wheels=[python], go="1.26")
    )
    assert told["spdxVersion"] == "SPDX-2.3"
    named = {each["name"]: each for each in told["packages"]}
    assert list(named) == ["weft", "ovn-common", "one", "stdlib"]
    references = {name: each["externalRefs"][0]["referenceLocator"] for name, each in named.items()}
    assert references["ovn-common"] == (
        "pkg:deb/debian/ovn-common@25.03.0-1%2Bb1?arch=amd64&distro=trixie"
    )
    assert references["one"] == "pkg:pypi/one@1"
    identifiers = [each["SPDXID"] for each in told["packages"]]
    related = [each["relatedSpdxElement"] for each in told["relationships"]]
    assert len(set(identifiers)) == len(identifiers)
    assert sorted(identifiers) == sorted(related)


def test_the_consoles_libraries_are_listed_as_they_are_locked() -> None:
    npm = sbom.locked(Path(__file__).parents[2] / "web/package-lock.json")
    options: dict[str, Any] = {"suite": "trixie", "packages": [], "wheels": [], "go": "1.26"}
    listed = json.loads(sbom.render("0.1", WHEN, **options, npm=npm))["packages"]
    named = {each["name"]: each["externalRefs"][0]["referenceLocator"] for each in listed}
    assert named["htmx.org"].startswith("pkg:npm/htmx.org@2.")
    assert named["@xterm/xterm"].startswith("pkg:npm/%40xterm/xterm@")


def test_scanners_and_lawyers_find_each_package() -> None:
    assert debian.status([package()]) == {
        "var/lib/dpkg/status.d/ovn-common": tree.File(
            b"Package: ovn-common\nStatus: install ok installed\n"
        ),
        "usr/share/doc/ovn-common/copyright": tree.File(b"free\n"),
    }


@pytest.mark.parametrize(
    ("given", "merged"),
    [
        ("lib/x86_64-linux-gnu/libc.so.6", "usr/lib/x86_64-linux-gnu/libc.so.6"),
        ("bin/sh", "usr/bin/sh"),
        ("usr/bin/env", "usr/bin/env"),
        ("library/x", "library/x"),
    ],
)
def test_paths_of_the_merged_file_system(given: str, merged: str) -> None:
    assert debian.merged(given) == merged
