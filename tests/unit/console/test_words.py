"""Words of templates: kinds in the plural, counts, and which page is about an object."""

from __future__ import annotations

from weft.console import words
from weft.kube import resources


def test_kinds_in_the_plural() -> None:
    assert words.kinds(resources.NETWORKS) == "Networks"
    assert words.kinds(resources.NETWORKQOSES) == "NetworkQoSes"
    assert words.kinds(resources.NADS) == "NetworkAttachmentDefinitions"
    assert words.kinds(resources.MULTINETWORKPOLICIES) == "MultiNetworkPolicies"


def test_counts() -> None:
    assert words.counted(1, "node") == "1 node"
    assert words.counted(0, "node") == "0 nodes"
    assert words.counted(2, "policy", "policies") == "2 policies"


def test_the_page_about_an_object() -> None:
    assert words.segments("Network", "", "blue") == ("networks", "blue")
    assert words.segments("VirtualMachine", "shop", "web") == ("machines", "shop", "web")
    assert words.segments("Pod", "shop", "web") == ()
