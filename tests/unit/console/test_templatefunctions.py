"""Words of templates: kinds in the plural, counts, and which page is about an object."""

from __future__ import annotations

from weft.console import templatefunctions
from weft.console.page import Page, Read, Reading
from weft.kube import resources


def test_kinds_in_the_plural() -> None:
    assert templatefunctions.kinds(resources.NETWORKS) == "Networks"
    assert templatefunctions.kinds(resources.NETWORKQOSES) == "NetworkQoSes"
    assert templatefunctions.kinds(resources.NADS) == "NetworkAttachmentDefinitions"
    assert templatefunctions.kinds(resources.MULTINETWORKPOLICIES) == "MultiNetworkPolicies"


def test_counts() -> None:
    assert templatefunctions.counted(1, "node") == "1 node"
    assert templatefunctions.counted(0, "node") == "0 nodes"
    assert templatefunctions.counted(2, "policy", "policies") == "2 policies"


def test_a_reason_is_given_once_for_all_kinds() -> None:
    reads = (resources.NODES, resources.NETWORKS, resources.NADS)
    page = Page("any", "/any", tuple(map(Read, reads)), view=lambda reading, asked: None)
    lost = dict.fromkeys(reads[:2], "no answer")
    reading = Reading(stale={**lost, resources.NADS: "too slow"})
    assert list(templatefunctions.stale(page, reading)) == [
        ("Nodes and Networks", "no answer"),
        ("NetworkAttachmentDefinitions", "too slow"),
    ]


def test_the_page_about_an_object() -> None:
    assert templatefunctions.segments("Network", "", "blue") == ("networks", "blue")
    assert templatefunctions.segments("VirtualMachine", "shop", "web") == (
        "machines",
        "shop",
        "web",
    )
    assert templatefunctions.segments("Pod", "shop", "web") == ()
