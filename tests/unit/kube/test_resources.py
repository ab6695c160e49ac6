from __future__ import annotations

from weft.kube import resources


def test_paths_of_the_core_group_and_of_others() -> None:
    assert resources.PODS.path() == "/api/v1/pods"
    assert resources.PODS.path("a", "b", "status") == "/api/v1/namespaces/a/pods/b/status"
    assert resources.NODES.path("ignored", "n1") == "/api/v1/nodes/n1"
    assert resources.NADS.path("a") == (
        "/apis/k8s.cni.cncf.io/v1/namespaces/a/network-attachment-definitions"
    )


def test_a_key_leads_back_to_namespace_and_name() -> None:
    for meta in ({"name": "n"}, {"namespace": "a", "name": "n"}):
        key = resources.key({"metadata": meta})
        assert resources.split_key(key) == (meta.get("namespace", ""), meta["name"])


def test_no_two_kinds_share_a_path() -> None:
    assert len({res.path() for res in resources.ALL}) == len(resources.ALL)
