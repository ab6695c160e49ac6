"""Words of templates: kinds in the plural, counts, and which page is about an object."""

from __future__ import annotations

from weft.console import templatefunctions
from weft.console.page import Page, Read, Reading
from weft.console.pages import matrix
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


def test_cells_of_a_matrix_are_escaped_and_in_their_order() -> None:
    hostile = matrix.GridField("<b>", "good", 'x"y', "a & b\n<i>")
    empty = matrix.GridField()
    written = str(templatefunctions.cells([hostile, empty, hostile])).split("\n<td")
    assert len(written) == 3
    assert written[0].removeprefix("<td") == written[2]
    assert 'title="x&#34;y: a &amp; b\n&lt;i&gt;" aria-label="x&#34;y">&lt;b&gt;</td>' in written[0]
    assert written[1] == ' class="cell "></td>'


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
