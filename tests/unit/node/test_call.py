"""A call as the specification has it, and every way in which it can be wrong."""

import json
from typing import Any

import pytest

from weft import errors
from weft.model import ObjectKey
from weft.node import call

ENV = {
    "CNI_COMMAND": "ADD",
    "CNI_CONTAINERID": "abc",
    "CNI_NETNS": "/run/netns/abc",
    "CNI_IFNAME": "net1",
    "CNI_ARGS": "IgnoreUnknown=1;K8S_POD_NAMESPACE=ns;K8S_POD_NAME=web;K8S_POD_UID=u1",
}
CONFIG = {
    "cniVersion": "1.1.0",
    "name": "blue",
    "type": "ovn-k8s-cni-overlay",
    "netAttachDefName": "ns/blue",
}


def parse(env: dict[str, str] | None = None, **config: Any) -> call.Call:
    merged = {key: value for key, value in {**CONFIG, **config}.items() if value is not None}
    given = {key: value for key, value in {**ENV, **(env or {})}.items() if value != "-"}
    return call.parse(given, json.dumps(merged).encode())


def test_a_whole_call() -> None:
    asked = parse()
    assert (asked.pod, asked.uid, asked.nad, asked.network) == (
        ObjectKey("ns", "web"),
        "u1",
        ObjectKey("ns", "blue"),
        "blue",
    )
    assert (asked.sandbox, asked.netns, asked.interface) == ("abc", "/run/netns/abc", "net1")


WRONG: list[tuple[int, dict[str, str], dict[str, Any]]] = [
    (4, {"CNI_COMMAND": "-"}, {}),
    (4, {"CNI_COMMAND": "add"}, {}),
    (4, {"CNI_CONTAINERID": "-"}, {}),
    (4, {"CNI_CONTAINERID": "/etc"}, {}),
    (4, {"CNI_CONTAINERID": "a b"}, {}),
    (4, {"CNI_NETNS": "-"}, {}),
    (4, {"CNI_IFNAME": "-"}, {}),
    (4, {"CNI_IFNAME": "a" * 16}, {}),
    (4, {"CNI_IFNAME": "../x"}, {}),
    (4, {"CNI_ARGS": "nonsense"}, {}),
    (4, {"CNI_COMMAND": "DEL", "CNI_IFNAME": "-"}, {}),
    (4, {"CNI_COMMAND": "CHECK", "CNI_NETNS": "-"}, {}),
    (1, {}, {"cniVersion": None}),
    (1, {}, {"cniVersion": "0.2.0"}),
    (1, {}, {"cniVersion": "2.0.0"}),
    (1, {}, {"cniVersion": 1}),
    (1, {"CNI_COMMAND": "CHECK"}, {"cniVersion": "0.3.1"}),
    (1, {"CNI_COMMAND": "GC"}, {"cniVersion": "1.0.0"}),
    (1, {"CNI_COMMAND": "STATUS"}, {"cniVersion": "1.0.0"}),
    (7, {}, {"name": None}),
    (7, {}, {"name": 3}),
    (7, {}, {"type": "bridge"}),
    (7, {}, {"prevResult": []}),
]


@pytest.mark.parametrize(("code", "env", "config"), WRONG)
def test_refused(code: int, env: dict[str, str], config: dict[str, Any]) -> None:
    with pytest.raises(call.Refused) as caught:
        parse(env, **config)
    assert caught.value.code == code
    assert caught.value.hint


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"\xff"])
def test_undecodable(data: bytes) -> None:
    with pytest.raises(call.Refused) as caught:
        call.parse(ENV, data)
    assert caught.value.code == call.Code.DECODING


def test_a_del_needs_neither_namespace_nor_pod() -> None:
    asked = parse({"CNI_COMMAND": "DEL", "CNI_NETNS": "-", "CNI_ARGS": "-"})
    assert asked.netns == ""


@pytest.mark.parametrize("args", ["-", "K8S_POD_NAME=web", "K8S_POD_NAMESPACE=;K8S_POD_NAME=x"])
def test_an_add_needs_its_pod(args: str) -> None:
    with pytest.raises(call.Refused, match="K8S_POD"):
        _ = parse({"CNI_ARGS": args}).pod


@pytest.mark.parametrize("nad", [None, "blue", "a/b/c", 5])
def test_the_nad_must_be_named(nad: object) -> None:
    with pytest.raises(call.Refused, match="netAttachDefName"):
        _ = parse(netAttachDefName=nad).nad


def test_the_clusters_own_network_has_no_nad() -> None:
    asked = parse(name="ovn-kubernetes", netAttachDefName=None)
    assert (asked.network, asked.nad) == ("default", None)


def test_valid_attachments() -> None:
    gc = {"CNI_COMMAND": "GC"}
    listed = [{"containerID": "a", "ifname": "net1"}]
    asked = parse(gc, **{call.ATTACHMENTS: listed})
    assert asked.valid_attachments == [("a", "net1")]
    broken: tuple[Any, ...] = (None, {}, ["x"])
    for wrong in broken:
        with pytest.raises(call.Refused):
            _ = parse(gc, **{call.ATTACHMENTS: wrong}).valid_attachments


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.InvalidInput("NAD x", "mtu", 1, "too small"), 7),
        (errors.NotReady("not yet"), 11),
        (errors.Unavailable("down"), 11),
        (errors.WeftError("odd"), 999),
        (call.Refused(call.Code.ENVIRONMENT, "x"), 4),
    ],
)
def test_codes(error: errors.WeftError, code: int) -> None:
    assert call.code_of(error) == code


def test_the_answer_is_in_the_callers_version_if_there_is_one() -> None:
    assert call.requested_version(b'{"cniVersion":"0.4.0"}') == "0.4.0"
    assert call.requested_version(b'{"cniVersion":"9.9"}') == "1.1.0"
    assert call.requested_version(b"x") == "1.1.0"
