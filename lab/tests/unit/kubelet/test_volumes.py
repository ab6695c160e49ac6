"""Files of a pod's downward API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from weft import errors
from weft_lab.kubelet import volumes

STATUS = "k8s.v1.cni.cncf.io/network-status"


def a_pod(*items: tuple[str, str], **meta: Any) -> dict[str, Any]:
    listed = [{"path": path, "fieldRef": {"fieldPath": field}} for path, field in items]
    return {
        "metadata": {"name": "p", "namespace": "n", "uid": "u", **meta},
        "spec": {
            "volumes": [
                {"name": "other", "emptyDir": {}},
                {"name": "info", "downwardAPI": {"items": listed}},
            ]
        },
    }


def mounted(path: str) -> list[list[Any]]:
    container = {
        "name": "c",
        "volumeMounts": [
            {"name": "info", "mountPath": path},
            {"name": "other", "mountPath": "/data"},
        ],
    }
    return volumes.mounts(a_pod(), container, Path("/box"))


def test_fields_become_files() -> None:
    asked = {
        "name": "metadata.name",
        "in/status": f"metadata.annotations['{STATUS}']",
        "labels": "metadata.labels",
        "none": "metadata.labels['none']",
    }
    made = a_pod(*asked.items(), annotations={STATUS: "[]"}, labels={"b": 'a "b"', "a": "1"})
    assert volumes.files(made) == {
        (1, "name"): b"p",
        (1, "in/status"): b"[]",
        (1, "labels"): b'a="1"\nb="a \\"b\\""',
        (1, "none"): b"",
    }


@pytest.mark.parametrize(
    ("path", "field"),
    [
        *(("../x", "metadata.name"), ("/x", "metadata.name"), ("", "metadata.name")),
        *(("a\0", "metadata.name"), ("a/../../x", "metadata.name"), ("x", "")),
        ("x", "spec.nodeName"),
    ],
)
def test_what_is_no_file_of_metadata_is_refused(path: str, field: str) -> None:
    with pytest.raises(errors.InvalidInput):
        volumes.files(a_pod((path, field)))


def test_the_files_of_a_pod_have_a_bound() -> None:
    most = [(str(number), "metadata.annotations['a']") for number in range(4)]
    assert len(volumes.files(a_pod(*most, annotations={"a": "x" * (1 << 18)}))) == 4
    with pytest.raises(errors.InvalidInput, match="together"):
        volumes.files(a_pod(*most, ("more", "metadata.name"), annotations={"a": "x" * (1 << 18)}))


def test_where_they_are_mounted() -> None:
    assert mounted("/etc/podinfo/") == [["/box/volumes/1", "/etc/podinfo", False]]
    for path in ("/", "podinfo", "/a/../../b", ""):
        with pytest.raises(errors.InvalidInput):
            mounted(path)


def test_a_file_that_changes_is_written_anew_and_others_stay(tmp_path: Path) -> None:
    volumes.write(tmp_path, {(1, "a/b/x"): b"1", (1, "y"): b"2"})
    top = tmp_path / "volumes/1"
    before = (top / "y").stat().st_ino
    volumes.write(tmp_path, {(1, "a/b/x"): b"3", (1, "y"): b"2"})
    assert ((top / "a/b/x").read_bytes(), (top / "y").stat().st_ino) == (b"3", before)
    modes = {path.stat().st_mode & 0o777 for path in (top, top / "a", top / "a/b", top / "a/b/x")}
    assert modes == {0o755, 0o644}
