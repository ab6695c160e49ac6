"""What runs in place of an image."""

import pytest

from weft_lab.kubelet import images


@pytest.mark.parametrize(
    ("image", "native"),
    [
        ("lab.weft/virt-launcher", True),
        ("lab.weft/virt-launcher:v1", True),
        ("lab.weft/virt-launcher@sha256:00", True),
        ("lab.weft/virt-launcher-x", False),
        ("busybox", False),
    ],
)
def test_one_name_means_the_nodes_own_files(image: str, native: bool) -> None:
    assert images.is_native(image) == native
    assert bool(images.explanation({"image": image, "command": ["x"]})) == (not native)


def test_command() -> None:
    assert images.command({"image": "nginx"}) == images.IDLE
    assert images.command({"image": "nginx", "args": ["-g"]}) == images.IDLE
    assert images.command({"image": "docker.io/busybox:1", "args": ["sleep", "1"]}) == (
        "sleep",
        "1",
    )
    assert images.command({"image": "x", "command": ["a"], "args": ["b"]}) == ("a", "b")
    assert "idles" in images.explanation({"image": "nginx"})
