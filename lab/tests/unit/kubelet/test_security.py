"""What a container may do, from its securityContext."""

from __future__ import annotations

from typing import Any

import pytest

from weft import errors
from weft_lab.kubelet import isolation, security


def of(shared: dict[str, Any] | None = None, **own: Any) -> security.Security:
    container = {"name": "c", "securityContext": own}
    return security.of({"spec": {"securityContext": shared or {}}}, container)


def named(found: security.Security) -> set[str]:
    return {security.NAMES[number] for number in found.capabilities}


def test_what_a_container_has_of_which_nothing_is_said() -> None:
    assert of() == security.Security(of().capabilities)
    # The mask that container runtimes give by default.
    assert sum(1 << number for number in of().capabilities) == 0xA80425FB


def test_capabilities_are_added_and_dropped() -> None:
    found = of(capabilities={"add": ["CAP_NET_ADMIN", "sys_time"], "drop": ["MKNOD"]})
    assert named(found) == {*security.DEFAULT, "NET_ADMIN", "SYS_TIME"} - {"MKNOD"}
    assert named(of(capabilities={"drop": ["ALL"], "add": ["NET_RAW"]})) == {"NET_RAW"}
    assert named(of(capabilities={"add": ["ALL"], "drop": ["NET_RAW"]})) == {*security.NAMES} - {
        "NET_RAW"
    }
    assert named(of(privileged=True)) == {*security.NAMES}


def test_users_of_the_pod_and_of_its_container() -> None:
    shared = {"runAsUser": 1000, "runAsGroup": 2000, "supplementalGroups": [3000]}
    found = of(shared, runAsUser=7, allowPrivilegeEscalation=False, readOnlyRootFilesystem=True)
    assert (found.uid, found.gid, found.groups) == (7, 2000, (3000,))
    assert found.no_new_privs
    assert found.read_only


@pytest.mark.parametrize(
    ("own", "field"),
    [
        ({"runAsUser": 1 << 20}, "runAsUser"),
        ({"runAsUser": "root"}, "runAsUser"),
        ({"runAsGroup": -1}, "runAsGroup"),
        ({"runAsNonRoot": True}, "runAsNonRoot"),
        ({"capabilities": {"add": ["FLY"]}}, "capabilities.add"),
    ],
)
def test_what_no_container_can_be_given_is_refused(own: dict[str, Any], field: str) -> None:
    with pytest.raises(errors.InvalidInput) as refused:
        of(**own)
    assert refused.value.field == field


def test_what_means_something_else_here_is_reported() -> None:
    (message,) = security.ignored({"name": "c", "securityContext": {"privileged": True}})
    assert "inside the pod alone" in message
    assert list(security.ignored({"name": "c"})) == []


@pytest.mark.parametrize(
    ("known", "found"),
    [
        ("         0          0 4294967295\n", (0x70000000, 65536)),
        ("         0       1000          1\n", (0, 1)),
        ("0 100000 65536\n", (0, 1)),
    ],
)
def test_a_pods_users_are_nobody_where_there_are_enough(known: str, found: object) -> None:
    assert isolation.extent(known) == found
