from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from weft import errors
from weft.kube import config


def document(**changes: Any) -> dict[str, Any]:
    return {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u", "namespace": "n"}}],
        "clusters": [{"name": "k", "cluster": {"server": "http://127.0.0.1:1/"}}],
        "users": [{"name": "u", "user": {"token": "secret"}}],
        **changes,
    }


def write(path: Path, content: object) -> Path:
    path.write_text(yaml.safe_dump(content))
    return path


def test_the_current_context_counts(tmp_path: Path) -> None:
    endpoint = config.from_file(write(tmp_path / "config", document()))
    assert endpoint.server == "http://127.0.0.1:1"
    assert endpoint.token == "secret"
    assert endpoint.namespace == "n"
    assert endpoint.tls is None
    assert "secret" not in repr(endpoint)


def several(path: Path, *names: str, current: str = "") -> Path:
    """A file with contexts whose servers have their names."""
    return write(
        path,
        {
            "current-context": current,
            "contexts": [{"name": name, "context": {"cluster": name}} for name in names],
            "clusters": [{"name": n, "cluster": {"server": f"http://{n}"}} for n in names],
        },
    )


def test_a_context_can_be_chosen(tmp_path: Path) -> None:
    path = str(several(tmp_path / "config", "a", "b", current="a"))
    assert config.load(path, "b").server == "http://b"
    assert config.load(path).server == "http://a"
    with pytest.raises(errors.InvalidInput, match='contexts "z": is not in the file'):
        config.load(path, "z")


def test_kubeconfig_may_name_several_files(tmp_path: Path) -> None:
    first = several(tmp_path / "first", "a")
    second = several(tmp_path / "second", "b", "c", current="c")
    third = several(tmp_path / "third", "a", current="a")
    path = os.pathsep.join(map(str, (first, tmp_path / "absent", second, third)))
    assert config.load(path).server == "http://c"
    assert config.load(path, "a").server == "http://a"
    with pytest.raises(errors.InvalidInput, match="is in none of the files"):
        config.load(path, "z")


def test_a_token_file_is_found_beside_the_kubeconfig(tmp_path: Path) -> None:
    users = [{"name": "u", "user": {"tokenFile": "token"}}]
    endpoint = config.from_file(write(tmp_path / "config", document(users=users)))
    assert endpoint.token_file == str(tmp_path / "token")


def test_a_unix_socket_is_a_server(tmp_path: Path) -> None:
    clusters = [{"name": "k", "cluster": {"server": "unix:///run/api.sock"}}]
    endpoint = config.from_file(write(tmp_path / "config", document(clusters=clusters)))
    assert endpoint.server == "unix:///run/api.sock"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"current-context": "other"}, 'contexts "other": is not in the file'),
        ({"clusters": None}, 'clusters "k": is not in the file'),
        ({"clusters": [{"name": "k", "cluster": {"server": "here"}}]}, 'server "here": must begin'),
        (
            {"users": [{"name": "u", "user": {"exec": {"command": "aws"}}}]},
            "exec: is not supported",
        ),
        (
            {
                "clusters": [
                    {
                        "name": "k",
                        "cluster": {"server": "https://x", "certificate-authority-data": "AAAA"},
                    }
                ]
            },
            "certificate-authority-data: cannot be loaded",
        ),
        ({"contexts": ["c"]}, 'contexts "c": is not in the file'),
        ({"users": 5}, 'users "u": is not in the file'),
        ({"clusters": [{"name": "k", "cluster": "k"}]}, 'server "": must begin with'),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = write(tmp_path / "config", document(**changes))
    with pytest.raises(errors.InvalidInput) as caught:
        config.from_file(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", ["", "a: [", "- list", "text"])
def test_a_file_that_is_no_kubeconfig_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "config"
    path.write_text(content)
    with pytest.raises(errors.InvalidInput):
        config.from_file(path)
    with pytest.raises(errors.InvalidInput):
        config.from_file(tmp_path / "absent")


def test_outside_of_a_pod_a_kubeconfig_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(errors.InvalidInput) as caught:
        config.load(None)
    assert "--kubeconfig" in caught.value.hint


def test_a_pod_without_its_service_account_is_reported_what_it_lacks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    with pytest.raises(errors.InvalidInput) as caught:
        config.in_cluster(tmp_path)
    assert str(tmp_path / "ca.crt") in str(caught.value)
    (tmp_path / "ca.crt").write_text("no certificate")
    with pytest.raises(errors.InvalidInput, match="cannot be loaded"):
        config.in_cluster(tmp_path)


@pytest.mark.parametrize("name", ["client-certificate", "client-key", "certificate-authority"])
def test_an_empty_file_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "full").write_text("something")
    (tmp_path / "empty").write_text(" \n")
    user = dict.fromkeys(("client-certificate", "client-key"), "full")
    cluster = {"server": "https://x"}
    (cluster if name.endswith("authority") else user)[name] = "empty"
    changes = {
        "users": [{"name": "u", "user": user}],
        "clusters": [{"name": "k", "cluster": cluster}],
    }
    with pytest.raises(errors.InvalidInput) as caught:
        config.from_file(write(tmp_path / "config", document(**changes)))
    assert f"{name} {tmp_path / 'empty'}: cannot be loaded: the file is empty" in str(caught.value)


@pytest.mark.parametrize("user", [{"client-key": "key"}, {"username": "me", "password": "x"}])
def test_credentials_that_would_not_be_shown_are_refused(tmp_path: Path, user: Any) -> None:
    clusters = [{"name": "k", "cluster": {"server": "https://x"}}]
    users = [{"name": "u", "user": user}]
    changed = document(users=users, clusters=clusters)
    with pytest.raises(errors.InvalidInput, match=next(iter(user))):
        config.from_file(write(tmp_path / "config", changed))


@pytest.mark.parametrize(
    "field",
    [
        *("token", "tokenFile", "client-certificate", "client-certificate-data"),
        *("client-key", "client-key-data"),
    ],
)
def test_an_empty_credential_is_refused_by_its_name(tmp_path: Path, field: str) -> None:
    users = [{"name": "u", "user": {field: ""}}]
    with pytest.raises(errors.InvalidInput, match=f"{field}.*empty"):
        config.from_file(write(tmp_path / "config", document(users=users)))


def test_without_its_user_a_context_has_the_clusters_address_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "config", document())
    assert config.load(str(path)).token == "secret"
    alone = config.without_user(str(path))
    assert (alone.server, alone.token) == (config.load(str(path)).server, "")
