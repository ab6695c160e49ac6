"""What follows of an end that was asked at its own port for its address."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from tests.support.explained import MACS, SILENT, evidence
from weft import names
from weft.observe.explain import asking, sentence
from weft.observe.explain.evidence import Evidence, NetworkFacts, PortAnswer, Probe, Unseen
from weft.observe.explain.sentence import Outcome
from weft.observe.reach import ProbeResult
from weft.policy import netpolicy

OWN, PEER, OTHER = (ip_address(f"10.9.0.{number}") for number in (2, 1, 99))
NOBODY = {"source": Unseen("only a look into the pod can say")}
FINE = PortAnswer(OWN, (MACS["b"],), echoed=MACS["a"])
STRANGE = "0a:58:0a:09:00:63"
GIVEN = "it was given 10.9.0.2/24"
SET = "let it ask by DHCP, or set 10.9.0.2/24 on the interface with MAC 0a:58:0a:09:00:02"


def asked(found: PortAnswer | Unseen, **changes: Any) -> Evidence:
    """The target was asked; of the source nobody knows."""
    whole = evidence(used={**NOBODY, "target": Unseen("the guest has no agent")}, probe=SILENT)
    return replace(whole, asked={"target": found}, **changes)


def step(whole: Evidence, name: str = "target address") -> str:
    (one,) = (each for each in sentence.explain(whole).steps if each.name == name)
    return f"{one.verdict}: {one.seen}"


STOPPED = {
    "no answer": (
        PortAnswer(OWN),
        "default/b has no address, or is not up: it does not answer ARP at its own port; "
        f"{GIVEN}; {SET}",
    ),
    "asks by DHCP": (
        PortAnswer(OWN, by_dhcp=True),
        f"default/b asks for an address by DHCP, and takes none; {GIVEN}; {SET}",
    ),
    "another address": (
        PortAnswer(OWN, senders=((MACS["b"], ip_address("fe80::1")), (MACS["b"], OTHER))),
        "default/b uses 10.9.0.99, but was given 10.9.0.2/24: OVN drops what it sends "
        "(port security); set 10.9.0.2/24 there",
    ),
    "another address and MAC": (
        PortAnswer(OWN, senders=((STRANGE, OTHER),)),
        "default/b uses 10.9.0.99, but was given 10.9.0.2/24, and the MAC 0a:58:0a:09:00:63, not "
        "0a:58:0a:09:00:02: OVN drops what it sends (port security); set 10.9.0.2/24 there",
    ),
    "another MAC": (
        PortAnswer(OWN, (STRANGE,)),
        "default/b uses the MAC 0a:58:0a:09:00:63, but was given 0a:58:0a:09:00:02: OVN drops what "
        "it sends (port security); set 0a:58:0a:09:00:02 on its interface",
    ),
    "another MAC, of which only IPv6 is heard": (
        PortAnswer(OWN, senders=((STRANGE, ip_address("fe80::1")),)),
        "default/b sends from the MAC 0a:58:0a:09:00:63, but was given 0a:58:0a:09:00:02; "
        "set 0a:58:0a:09:00:02 and 10.9.0.2/24 on its interface",
    ),
    "a narrow subnet": (
        replace(FINE, echoed=STRANGE),
        "default/b has 10.9.0.2 in a subnet without 10.9.0.1: it answers to 0a:58:0a:09:00:63 "
        "(wrong prefix length or route); set 10.9.0.2/24 there",
    ),
    "a firewall, or a narrow subnet": (
        replace(FINE, echoed="", sought=(OTHER,)),
        "default/b has 10.9.0.2, and answers no ping at its own port: it has a firewall that drops "
        "it, or no route to 10.9.0.1 (wrong prefix length?); meanwhile it looked for 10.9.0.99; "
        "look at nft list ruleset, ip route and ip addr in default/b; it was given 10.9.0.2/24",
    ),
}


@pytest.mark.parametrize("name", STOPPED)
def test_who_stops_it_and_what_to_change(name: str) -> None:
    found = sentence.explain(asked(STOPPED[name][0]))
    whole = f"default/a does not reach default/b by ping on blue: {STOPPED[name][1]}."
    assert found.sentence == whole
    assert (found.outcome, found.cause) == (Outcome.STOPPED, "target address")


def test_an_end_that_answers_has_its_address() -> None:
    own = "ok: 10.9.0.2/24, answers at its own port"
    assert step(asked(FINE)) == f"{own}, and pings from default/a's address"
    assert step(asked(replace(FINE, echoed=None))) == own
    # It looks for the other end, whose answer the ping waits for.
    assert step(asked(replace(FINE, echoed="", sought=(OTHER, PEER)))) == own


def test_a_guest_that_drops_pings_may_accept_connections() -> None:
    https = netpolicy.Connection(netpolicy.Protocol.TCP, 443, PEER, OWN)
    found = step(asked(replace(FINE, echoed=""), connection=https))
    assert found == (
        "note: 10.9.0.2/24, answers at its own port, but no ping from default/a's address"
    )


def test_a_source_that_drops_pings_may_send_them() -> None:
    """A firewall that admits answers alone is no fault of who asks."""
    by = "sent in default/a's name by the switch of node1"
    mute = {"source": PortAnswer(PEER, (MACS["a"],), echoed="")}
    whole = replace(evidence(used=NOBODY), asked=mute, probe=Probe(ProbeResult.ANSWERED, by=by))
    found = sentence.explain(whole)
    assert found.outcome is Outcome.REACHES, found.sentence
    assert step(whole, "source address") == (
        "not seen: 10.9.0.1/24, answers at its own port, but no ping from default/b's address: "
        "it drops pings, or has no route to 10.9.0.2"
    )


def test_what_nobody_could_ask_is_not_seen_with_both_reasons() -> None:
    assert step(asked(Unseen("no agent"))) == "not seen: the guest has no agent; no agent"
    assert step(asked(FINE), "source address") == "not seen: only a look into the pod can say"


def test_an_answer_to_a_probe_in_its_name_is_no_proof_that_it_can_ask() -> None:
    answered = Probe(ProbeResult.ANSWERED, by="sent in default/a's name by the switch of node1")
    silent = {"source": PortAnswer(PEER)}
    whole = replace(evidence(used=NOBODY), asked=silent, probe=answered)
    found = sentence.explain(whole)
    assert found.sentence.startswith(
        "default/a does not reach default/b by ping on blue: default/a has no address, or is not up"
    )
    assert found.outcome is Outcome.STOPPED
    itself = replace(answered, by="")
    assert sentence.explain(replace(whole, probe=itself)).outcome is Outcome.REACHES


def test_an_order_names_the_other_end_where_both_are_in_one_subnet() -> None:
    whole = evidence()
    order = asking.order("target", whole, 2.0)
    assert order is not None
    assert order["peer"] == {"address": "10.9.0.1", "mac": MACS["a"]}
    assert (order["port"], order["pod"], order["address"], order["mac"]) == (
        whole.target.port,
        "default/b",
        "10.9.0.2",
        MACS["b"],
    )
    assert isinstance(whole.network, NetworkFacts)
    routed = asking.order(
        "target", replace(whole, network=replace(whole.network, topology="layer3")), 2.0
    )
    assert routed is not None
    gateway = {"address": "10.9.0.1", "mac": names.address_mac(ip_address("10.9.0.1"))}
    assert routed["peer"] == gateway, "the router of its node hands it over"
    learned = replace(whole.target, allocated=())
    assert asking.order("target", replace(whole, target=learned), 2.0) is None


ANSWER = {"answered": [MACS["b"]], "senders": [[STRANGE, "10.9.0.99"]], "sought": ["10.9.0.1"]}


def test_an_answer_is_read_and_one_in_another_form_is_not_seen() -> None:
    order = {"address": "10.9.0.2"}
    whole = {**ANSWER, "by_dhcp": True, "echoed": MACS["a"]}
    found = asking.read(whole, order)
    assert found == PortAnswer(
        OWN, (MACS["b"],), ((STRANGE, OTHER),), by_dhcp=True, echoed=MACS["a"], sought=(PEER,)
    )
    assert asking.read({"error": "x" * 1000}, order) == Unseen("x" * 300)
    many = asking.read({**whole, "answered": [STRANGE] * 100}, order)
    assert isinstance(many, PortAnswer)
    assert len(many.answered) == asking.MOST
    for changes in ({"answered": 7}, {"senders": [["x"]]}, {"sought": ["x"]}, {"senders": None}):
        assert isinstance(asking.read({**whole, **changes}, order), Unseen)
    assert isinstance(asking.read({}, order), Unseen)
    for each in (f"{STRANGE}\x1b[2J", "x", 7):
        assert isinstance(asking.read({**whole, "echoed": each}, order), Unseen)
        assert isinstance(asking.read({**whole, "answered": [each]}, order), Unseen)
