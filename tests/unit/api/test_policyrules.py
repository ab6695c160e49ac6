"""Rules of policies: what they allow, and what of them is skipped, never widened."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from tests.support.policies import ingress, peers, ports, written
from weft.api import policy
from weft.policy.netpolicy import (
    IPBlock,
    Operator,
    PodSelector,
    PolicyPort,
    Protocol,
    Requirement,
    Rule,
    Selector,
)

WEB = {"matchLabels": {"app": "web"}}
WEB_SELECTOR = Selector((Requirement("app", Operator.IN, ("web",)),))


@pytest.mark.parametrize("nobody_named", [{}, {"from": [], "ports": []}, {"from": None}])
def test_a_rule_that_names_nobody_allows_everybody(nobody_named: object) -> None:
    assert ingress(nobody_named).ingress == (Rule(0),)


def test_no_rules() -> None:
    assert ingress().ingress == ()
    assert policy.parse(written(ingress=None)).ingress == ()


@pytest.mark.parametrize(
    ("written_peer", "expected"),
    [
        ({"podSelector": {}}, PodSelector(namespace="ns1")),
        ({"podSelector": WEB}, PodSelector(namespace="ns1", pods=WEB_SELECTOR)),
        ({"namespaceSelector": {}}, PodSelector()),
        ({"namespaceSelector": WEB}, PodSelector(namespaces=WEB_SELECTOR)),
        (
            {"namespaceSelector": WEB, "podSelector": WEB},
            PodSelector(namespaces=WEB_SELECTOR, pods=WEB_SELECTOR),
        ),
        ({"ipBlock": {"cidr": "10.0.0.0/8"}}, IPBlock(ip_network("10.0.0.0/8"))),
        ({"ipBlock": {"cidr": "10.0.0.7/8"}}, IPBlock(ip_network("10.0.0.0/8"))),
        ({"ipBlock": {"cidr": "0.0.0.0/0"}}, IPBlock(ip_network("0.0.0.0/0"))),
        ({"ipBlock": {"cidr": "::/0"}}, IPBlock(ip_network("::/0"))),
        (
            {"ipBlock": {"cidr": "fd00::/16", "except": ["fd00:2::/32", "fd00:1::/32"]}},
            IPBlock(
                ip_network("fd00::/16"), (ip_network("fd00:1::/32"), ip_network("fd00:2::/32"))
            ),
        ),
    ],
)
def test_peers(written_peer: object, expected: object) -> None:
    parsed = peers(written_peer)
    assert parsed.skipped == ()
    assert parsed.ingress == (Rule(0, peers=(expected,)),)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("written_port", "expected"),
    [
        ({}, PolicyPort(Protocol.TCP)),
        ({"protocol": "SCTP"}, PolicyPort(Protocol.SCTP)),
        ({"port": 80}, PolicyPort(Protocol.TCP, 80)),
        ({"port": "http", "protocol": "UDP"}, PolicyPort(Protocol.UDP, "http")),
        ({"port": 80, "endPort": 90}, PolicyPort(Protocol.TCP, 80, 90)),
        ({"port": 80, "endPort": 80}, PolicyPort(Protocol.TCP, 80)),
        ({"port": 65535}, PolicyPort(Protocol.TCP, 65535)),
    ],
)
def test_services(written_port: object, expected: PolicyPort) -> None:
    parsed = ports(written_port)
    assert parsed.skipped == ()
    assert parsed.ingress == (Rule(0, ports=(expected,)),)


def block(cidr: object, *excepts: object) -> dict[str, object]:
    return {"ipBlock": {"cidr": cidr, "except": list(excepts)}}


@pytest.mark.parametrize(
    ("peer", "field", "rule"),
    [
        (None, "", "must be an object, not null"),
        ("x", "", "must be an object, not a string"),
        ({}, "", "selects no peer"),
        ({"podSelector": None}, "", "selects no peer"),
        ({"podselectr": {}}, ".podselectr", "is not a field here"),
        ({"podSelector": {}, "matchLabels": {"a": "b"}}, ".matchLabels", "is not a field here"),
        ({"podSelector": []}, ".podSelector", "must be an object, not a list"),
        ({"podSelector": {}, **block("10.0.0.0/8")}, ".ipBlock", "is set beside podSelector"),
        ({"ipBlock": []}, ".ipBlock", "must be an object, not a list"),
        ({"ipBlock": {}}, ".ipBlock.cidr", "is missing or empty"),
        (block("10.0.0.1"), ".ipBlock.cidr", "must be a range of addresses"),
        (block("10.0.0.0/33"), ".ipBlock.cidr", "must be a range of addresses"),
        (block("10.0.0.0/255.0.0.0"), ".ipBlock.cidr", "must be a range of addresses"),
        (block("fe80::1%eth0/64"), ".ipBlock.cidr", "must be a range of addresses"),
        (block("::ffff:10.0.0.0/104"), ".ipBlock.cidr", "holds IPv4 addresses in IPv6 form"),
        (block(5), ".ipBlock.cidr", "must be a string, not a number"),
        (block("10.0.0.0/8", "11.0.0.0/16"), ".ipBlock.except[0]", "lies outside of cidr"),
        (block("10.0.0.0/8", "10.0.0.0/7"), ".ipBlock.except[0]", "lies outside of cidr"),
        (block("10.0.0.0/8", "fd00::/16"), ".ipBlock.except[0]", "lies outside of cidr"),
        (block("10.0.0.0/8", "10.0.0.0/8"), ".ipBlock.except[0]", "covers all of cidr"),
        (block("10.0.0.0/8", "10.1.0.0/16", "x"), ".ipBlock.except[1]", "must be a range"),
        (block("10.0.0.0/8", 7), ".ipBlock.except[0]", "must be a string"),
        ({"ipBlock": {"cidr": "::/0", "except": "x"}}, ".ipBlock.except", "must be a list"),
        ({"ipBlock": {"cidr": "::/0", "exept": ["x"]}}, ".ipBlock.exept", "is not a field here"),
    ],
)
def test_a_peer_that_means_nothing_lets_nobody_in(peer: object, field: str, rule: str) -> None:
    good = {"podSelector": WEB}
    parsed = peers(good, peer)
    assert parsed.ingress[0].peers == (PodSelector(namespace="ns1", pods=WEB_SELECTOR),)
    (told,) = parsed.skipped
    assert told.field == f"spec.ingress[0].from[1]{field}"
    assert told.rule.startswith(rule)
    assert peers(peer).ingress == (Rule(0, peers=()),)


@pytest.mark.parametrize(
    ("port", "field", "rule"),
    [
        (80, "", "must be an object, not a number"),
        ({"port": 0}, ".port", "must lie between 1 and 65535"),
        ({"port": 65536}, ".port", "must lie between 1 and 65535"),
        ({"port": -1}, ".port", "must lie between 1 and 65535"),
        ({"port": "80"}, ".port", "must be a number or the name of a container's port"),
        ({"port": ""}, ".port", "must be a number or the name"),
        ({"port": "much-too-long-name"}, ".port", "must be a number or the name"),
        ({"port": "a--b"}, ".port", "must be a number or the name"),
        ({"port": "HTTP"}, ".port", "must be a number or the name"),
        ({"port": 8.5}, ".port", "must be a whole number"),
        ({"port": True}, ".port", "must be a whole number, not a boolean"),
        ({"protocol": "tcp"}, ".protocol", "must be one of TCP, UDP, SCTP"),
        ({"protocol": "ICMP"}, ".protocol", "must be one of TCP, UDP, SCTP"),
        ({"protocol": ""}, ".protocol", "must be one of TCP, UDP, SCTP"),
        ({"protocol": 6}, ".protocol", "must be a string"),
        ({"endPort": 90}, ".endPort", "ends a range that nothing begins"),
        ({"port": "http", "endPort": 90}, ".endPort", "cannot end a range that the name http"),
        ({"port": 90, "endPort": 80}, ".endPort", "is less than port 90"),
        ({"port": 90, "endPort": 65536}, ".endPort", "must lie between 1 and 65535"),
        ({"port": 90, "endPort": 0}, ".endPort", "must lie between 1 and 65535"),
        ({"port": 90, "endPort": "99"}, ".endPort", "must be a whole number"),
        ({"port": 90, "endport ": 99}, ".endport ", "is not a field here"),
        ({"name": "http"}, ".name", "is not a field here"),
    ],
)
def test_a_port_that_means_nothing_opens_none(port: object, field: str, rule: str) -> None:
    parsed = ports({"port": 53}, port)
    assert parsed.ingress[0].ports == (PolicyPort(Protocol.TCP, 53),)
    (told,) = parsed.skipped
    assert told.field == f"spec.ingress[0].ports[1]{field}"
    assert told.rule.startswith(rule)
    assert ports(port).ingress == (Rule(0, ports=()),)


@pytest.mark.parametrize(
    ("expression", "field", "rule"),
    [
        ("x", "", "must be an object"),
        ({"operator": "Exists"}, ".key", "is missing or empty"),
        ({"key": "a b", "operator": "Exists"}, ".key", "must be a label's key"),
        ({"key": "A/b", "operator": "Exists"}, ".key", "must be a label's key"),
        ({"key": "a"}, ".operator", "is missing"),
        ({"key": "a", "operator": "in", "values": ["b"]}, ".operator", "must be one of In, NotIn"),
        ({"key": "a", "operator": "Gt", "values": ["1"]}, ".operator", "must be one of In, NotIn"),
        ({"key": "a", "operator": "In"}, ".values", "must name at least one value"),
        ({"key": "a", "operator": "NotIn", "values": []}, ".values", "must name at least one"),
        ({"key": "a", "operator": "In", "values": "b"}, ".values", "must be a list of strings"),
        ({"key": "a", "operator": "In", "values": ["b", "-"]}, ".values[1]", "must be a label's"),
        ({"key": "a", "operator": "In", "values": [1]}, ".values[0]", "must be a string"),
        ({"key": "a", "operator": "Exists", "values": ["b"]}, ".values", "must be empty with"),
        ({"key": "a", "operator": "Exists", "value": "b"}, ".value", "is not a field here"),
    ],
)
def test_a_selector_that_means_nothing_selects_nobody(
    expression: object, field: str, rule: str
) -> None:
    parsed = peers({"namespaceSelector": {"matchExpressions": [expression]}})
    assert parsed.ingress == (Rule(0, peers=()),)
    (told,) = parsed.skipped
    path = "spec.ingress[0].from[0].namespaceSelector.matchExpressions[0]"
    assert told.field == path + field
    assert told.rule.startswith(rule)


@pytest.mark.parametrize(
    ("labels", "rule"),
    [
        ({"a": 1}, "must be a string, not a number"),
        ({"a": "b c"}, "must be a label's value"),
        ({"a": "b" * 64}, "must be a label's value"),
        ({"": "b"}, "has a key that is not valid"),
        ([], "must be an object"),
    ],
)
def test_labels_that_mean_nothing_select_nobody(labels: object, rule: str) -> None:
    parsed = peers({"podSelector": {"matchLabels": labels}})
    assert parsed.ingress == (Rule(0, peers=()),)
    assert parsed.skipped[0].rule.startswith(rule)


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        (None, "spec.ingress[0]"),
        ({"form": [{"podSelector": {}}]}, "spec.ingress[0].form"),
        ({"to": [{"podSelector": {}}]}, "spec.ingress[0].to"),
        ({"from": [], "port": 80}, "spec.ingress[0].port"),
    ],
)
def test_a_rule_that_means_nothing_is_left_out(rule: object, field: str) -> None:
    parsed = ingress(rule, {})
    assert parsed.ingress == (Rule(1),)
    assert [told.field for told in parsed.skipped] == [field]


@pytest.mark.parametrize("wrong", [{}, "x", 5, True])
def test_no_list_of_rules_allows_nothing(wrong: object) -> None:
    parsed = policy.parse(written(ingress=wrong))
    assert parsed.ingress == ()
    assert [told.field for told in parsed.skipped] == ["spec.ingress"]


def test_no_list_of_peers_or_ports_allows_nothing() -> None:
    assert ingress({"from": {"podSelector": {}}}).ingress == (Rule(0, peers=()),)
    assert ingress({"ports": {"port": 80}}).ingress == (Rule(0, ports=()),)


def test_duplicates_count_once() -> None:
    duplicates = {
        "from": [{"podSelector": {}}] * 2,
        "ports": [{"port": 80, "endPort": 80}, {"port": 80}],
    }
    (rule,) = ingress(duplicates).ingress
    assert (len(rule.peers or ()), len(rule.ports or ())) == (1, 1)


def test_exceptions_may_leave_only_so_many_ranges() -> None:
    holes = [f"fd00:{part:x}::1/128" for part in range(400)]
    parsed = peers(block("fd00::/16", *holes), block("fd00::/16", holes[0]), {"podSelector": {}})
    (skipped,) = parsed.skipped
    assert skipped.field == "spec.ingress[0].from[0].ipBlock.except"
    assert "20000 ranges" in skipped.rule
    first = IPBlock(ip_network("fd00::/16"), (ip_network(holes[0]),))
    assert parsed.ingress == (Rule(0, peers=(first, PodSelector(namespace="ns1"))),)


def test_exceptions_of_all_peers_are_counted_together() -> None:
    holes = [f"fd00:{part:x}::1/128" for part in range(80)]
    parsed = peers(*(block("fd00::/16", *holes[at:]) for at in range(4)))
    assert [each.field for each in parsed.skipped] == [
        "spec.ingress[0].from[2].ipBlock.except",
        "spec.ingress[0].from[3].ipBlock.except",
    ]


@pytest.mark.parametrize("direction", ["ingress", "egress"])
def test_only_so_many_names_of_ports_are_looked_up_for_so_many_peers(direction: str) -> None:
    many = [{"podSelector": {"matchLabels": {"app": f"a{number}"}}} for number in range(200)]
    names = [{"port": f"a{number}"} for number in range(101)]
    end = {"ingress": "from", "egress": "to"}[direction]
    rules = [{end: many, "ports": [*names, {"port": 80}]}, {end: many[:20], "ports": names}]
    parsed = policy.parse(written(**{direction: rules}, policyTypes=[direction.capitalize()]))
    (skipped,) = parsed.skipped
    assert skipped.field == f"spec.{direction}[0].ports"
    first, second = getattr(parsed, direction)
    assert first.ports == (PolicyPort(Protocol.TCP, 80),)
    assert len(second.ports) == 101


def test_ranges_have_no_named_ports() -> None:
    rule = {"to": [block("10.0.0.0/8"), {"podSelector": {}}], "ports": [{"port": "http"}]}
    parsed = policy.parse(written(egress=[rule]))
    (told,) = parsed.skipped
    assert (told.field, told.value) == ("spec.egress[0].ports", '"http"')
    assert ingress({"from": rule["to"], "ports": rule["ports"]}).skipped == ()


def test_skipped_parts_say_what_to_do() -> None:
    (told,) = ports({"port": "80"}).skipped
    assert (told.value, told.remedy) == ('"80"', "write the number without quotes")
