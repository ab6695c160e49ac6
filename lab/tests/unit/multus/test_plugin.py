"""How a plugin is called."""

from pathlib import Path

import pytest

from weft_lab.multus import plugin

SANDBOX = plugin.Sandbox("abc", "/run/netns/abc", "ns", "web", "uid-1")


def test_variables() -> None:
    env = plugin.variables("ADD", SANDBOX, "net1", "/bin:/opt", {"PATH": "/x"})
    assert env["CNI_ARGS"] == (
        "IgnoreUnknown=true;K8S_POD_NAMESPACE=ns;K8S_POD_NAME=web;"
        "K8S_POD_INFRA_CONTAINER_ID=abc;K8S_POD_UID=uid-1"
    )
    assert env["PATH"] == "/x"
    assert env["CNI_NETNS"] == "/run/netns/abc"


def executable(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_a_plugin_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(plugin.Failed, match=r'failed to find plugin "macvlan" in path'):
        plugin.find("macvlan", str(tmp_path))
    with pytest.raises(plugin.Failed):
        plugin.find("", str(tmp_path))


async def test_what_it_prints_is_the_result(tmp_path: Path) -> None:
    executable(tmp_path / "x", 'cat >/dev/null; echo "{\\"cniVersion\\":\\"1.1.0\\"}"')
    env = plugin.variables("ADD", SANDBOX, "net1", str(tmp_path), {"PATH": "/usr/bin:/bin"})
    assert await plugin.execute("x", b"{}", env) == {"cniVersion": "1.1.0"}


async def test_its_error_is_kept_whole(tmp_path: Path) -> None:
    executable(
        tmp_path / "x", 'echo "{\\"code\\":7,\\"msg\\":\\"no\\",\\"details\\":\\"why\\"}"; exit 1'
    )
    env = plugin.variables("ADD", SANDBOX, "net1", str(tmp_path), {"PATH": "/usr/bin:/bin"})
    with pytest.raises(plugin.Failed, match='plugin type="x" failed: no') as caught:
        await plugin.execute("x", b"", env)
    assert (caught.value.code, caught.value.hint) == (7, "why")


async def test_nonsense_is_named(tmp_path: Path) -> None:
    executable(tmp_path / "x", "echo hello")
    env = plugin.variables("ADD", SANDBOX, "net1", str(tmp_path), {"PATH": "/usr/bin:/bin"})
    with pytest.raises(plugin.Failed, match="hello"):
        await plugin.execute("x", b"", env)
