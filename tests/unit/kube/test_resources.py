from __future__ import annotations

import pytest

from weft import errors
from weft.kube import resources
from weft.model import ObjectKey


def test_paths_of_the_core_group_and_of_others() -> None:
    assert resources.PODS.path() == "/api/v1/pods"
    assert resources.PODS.path("a", "b", "status") == "/api/v1/namespaces/a/pods/b/status"
    assert resources.NODES.path("ignored", "n1") == "/api/v1/nodes/n1"
    assert resources.NADS.path("a") == (
        "/apis/k8s.cni.cncf.io/v1/namespaces/a/network-attachment-definitions"
    )


@pytest.mark.parametrize("name", ["?x=1", "a#b", "..", ".", "a/b", "%2e%2e"])
def test_a_name_does_not_lead_to_another_path(name: str) -> None:
    with pytest.raises(errors.InvalidInput, match="no object's name"):
        resources.PODS.path("a", name)
    with pytest.raises(errors.InvalidInput, match="no object's name"):
        resources.PODS.path(name)


def test_a_key_is_namespace_and_name() -> None:
    assert resources.key({"metadata": {"name": "n"}}) == ObjectKey("", "n")
    assert resources.key({"metadata": {"namespace": "a", "name": "n"}}) == ObjectKey("a", "n")


def test_no_two_kinds_share_a_path() -> None:
    assert len({res.path() for res in resources.ALL}) == len(resources.ALL)
