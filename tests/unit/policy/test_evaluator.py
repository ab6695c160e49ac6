"""The meaning of policies as tables: namespaces x, y and z with pods a, b and c each.

A case's table is read from top to bottom, the last line that fits a pair counts: `- * x*` closes
every way to the pods of x, `+ ya xb` opens one. Where no line fits, the way is open.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from ipaddress import ip_address, ip_network

import pytest

from weft.model import ObjectKey
from weft.policy import evaluator, netpolicy
from weft.policy.netpolicy import (
    Direction,
    IPBlock,
    Operator,
    PodSelector,
    PolicyPort,
    Protocol,
    Rule,
    Selector,
)

NETWORKS = {
    ObjectKey("x", "flat"): "flat",
    ObjectKey("y", "same"): "flat",
    ObjectKey("x", "other"): "other",
}
IN, OUT = frozenset({Direction.INGRESS}), frozenset({Direction.EGRESS})
BOTH = IN | OUT
NAMES = [one + other for one in "xyz" for other in "abc"]
PORTS = {(Protocol.TCP, "web"): 80, (Protocol.UDP, "web"): 81, (Protocol.SCTP, "web"): 82}


def pods(**labels: str | tuple[str, ...]) -> Selector:
    return Selector(
        tuple(
            netpolicy.Requirement(key, Operator.IN, (value,) if isinstance(value, str) else value)
            for key, value in sorted(labels.items())
        )
    )


def end(
    name: str, network: str = "flat", ports: netpolicy.NamedPorts = PORTS
) -> netpolicy.Endpoint:
    """The third byte of its address is its namespace, the fourth the pod."""
    space, pod = tuple(name)
    place = f"{'xyz'.index(space)}.{1 + 'abc'.index(pod)}"
    return netpolicy.Endpoint(
        namespace=space,
        pod=pod,
        labels={"pod": pod},
        namespace_labels={"ns": space},
        network=network,
        addresses=(ip_address(f"10.0.{place}"), ip_address(f"fd00::{place.replace('.', ':')}")),
        named_ports=ports,
    )


def policy(
    namespace: str = "x",
    selector: Selector = netpolicy.EVERYTHING,
    directions: frozenset[Direction] = IN,
    ingress: tuple[Rule, ...] = (),
    egress: tuple[Rule, ...] = (),
    nads: tuple[ObjectKey, ...] = (ObjectKey("x", "flat"),),
) -> netpolicy.Policy:
    return netpolicy.Policy(namespace, "p", "uid", nads, selector, directions, ingress, egress)


def from_(*peers: netpolicy.Peer, ports: tuple[PolicyPort, ...] | None = None) -> tuple[Rule, ...]:
    """One rule of these peers."""
    return (Rule(0, peers, ports),)


def on(*ports: PolicyPort) -> tuple[Rule, ...]:
    """One rule for anybody."""
    return (Rule(0, None, ports),)


def block(subnet: str, *excepts: str) -> IPBlock:
    return IPBlock(ip_network(subnet), tuple(map(ip_network, excepts)))


def named(namespace: str) -> PodSelector:
    """All pods of a namespace of this name, by its label."""
    return PodSelector(namespaces=pods(ns=namespace))


A, OF_X = pods(pod="a"), PodSelector(namespace="x")
OPEN = (Rule(0),)
TCP80 = netpolicy.Connection(Protocol.TCP, 80)
PING = netpolicy.Connection(None)


@dataclass(frozen=True)
class Case:
    name: str
    table: str
    policies: tuple[netpolicy.Policy, ...]
    connection: netpolicy.Connection = TCP80
    versions: tuple[int, ...] = (4, 6)
    ports: Mapping[str, netpolicy.NamedPorts] = field(default_factory=dict)


def one(name: str, table: str, *policies: netpolicy.Policy, **rest: object) -> Case:
    return Case(name, table, policies, **rest)  # type: ignore[arg-type]


TARGETS = (
    one("no policy", ""),
    one("ingress of a namespace, no rule", "- * x*", policy()),
    one("egress of a namespace, no rule", "- x* *", policy(directions=OUT)),
    one("both ways, no rule", "- * x*; - x* *", policy(directions=BOTH)),
    one("some pods", "- * xa", policy(selector=A)),
    one("no such pod", "", policy(selector=pods(pod="z"))),
    one("rules of a direction without isolation", "", policy(directions=frozenset(), egress=OPEN)),
    one("a rule for anybody", "", policy(ingress=OPEN)),
    one("nobody of a rule", "- * x*", policy(ingress=(Rule(0, (), None),))),
    one("no port of a rule", "- * x*", policy(ingress=(Rule(0, None, ()),))),
    one(
        "labels by expression",
        "- * xb; - * xc",
        policy(selector=Selector((netpolicy.Requirement("pod", Operator.NOT_IN, ("a", "d")),))),
    ),
    one(
        "every label there is",
        "- * x*",
        policy(
            selector=Selector(
                (
                    netpolicy.Requirement("other", Operator.DOES_NOT_EXIST),
                    netpolicy.Requirement("pod", Operator.EXISTS),
                )
            )
        ),
    ),
)

PEERS = (
    one("own namespace", "- * x*; + x* x*", policy(ingress=from_(OF_X))),
    one(
        "pods of the own namespace",
        "- * x*; + xa x*",
        policy(ingress=from_(PodSelector(namespace="x", pods=A))),
    ),
    one("every namespace", "", policy(ingress=from_(PodSelector()))),
    one(
        "namespaces by label",
        "- * xa; + y* xa",
        policy(selector=A, ingress=from_(named("y"))),
    ),
    one(
        "namespaces by expression",
        "- * xa; + y* xa; + z* xa",
        policy(
            selector=A,
            ingress=from_(
                PodSelector(
                    namespaces=Selector((netpolicy.Requirement("ns", Operator.NOT_IN, ("x",)),))
                )
            ),
        ),
    ),
    one(
        "namespaces and pods together",
        "- * x*; + ya x*; + za x*",
        policy(ingress=from_(PodSelector(namespaces=pods(ns=("y", "z")), pods=A))),
    ),
    one(
        "namespaces or pods",
        "- * x*; + y* x*; + xa x*",
        policy(ingress=from_(named("y"), PodSelector(namespace="x", pods=A))),
    ),
    one(
        "pods of every namespace",
        "- * x*; + *a x*",
        policy(ingress=from_(PodSelector(pods=A))),
    ),
    one(
        "several rules",
        "- * x*; + y* x*; + z* x*",
        policy(ingress=(*from_(named("y")), *from_(named("z")))),
    ),
    one(
        "egress to pods",
        "- xa *; + xa yb; + xa xb; + xa zb",
        policy(selector=A, directions=OUT, egress=from_(PodSelector(pods=pods(pod="b")))),
    ),
    one(
        "each direction has its own rules",
        "- * xa; - xa *; + y* xa; + xa z*",
        policy(selector=A, directions=BOTH, ingress=from_(named("y")), egress=from_(named("z"))),
    ),
    one(
        "both ends must agree",
        "- * x*; - y* *; + z* x*; + y* x*; + x* x*; - yb *; - yc *; + ya x*",
        policy("x", ingress=from_(PodSelector())),
        policy("y", directions=OUT, egress=()),
        policy("y", A, OUT, egress=from_(named("x"))),
    ),
)

BLOCKS = (
    one("a block", "- * x*; + y* x*", policy(ingress=from_(block("10.0.1.0/24"))), versions=(4,)),
    one(
        "a block of the other family",
        "- * x*",
        policy(ingress=from_(block("10.0.1.0/24"))),
        versions=(6,),
    ),
    one(
        "a block of IPv6",
        "- * x*; + y* x*",
        policy(ingress=from_(block("fd00::1:0/112"))),
        versions=(6,),
    ),
    one(
        "all but some",
        "- * xa; + y* xa; - yb xa; + z* xa; + x* xa",
        policy(selector=A, ingress=from_(block("10.0.0.0/16", "10.0.1.2/32"))),
        versions=(4,),
    ),
    one(
        "what one rule leaves out another lets in",
        "- * x*; + y* x*; + x* x*",
        policy(ingress=from_(block("10.0.1.0/24", "10.0.1.2/32"), block("10.0.1.2/31"), OF_X)),
        policy(),
        versions=(4,),
    ),
    one(
        "egress to a block",
        "- x* *; + x* z*; - x* zc",
        policy(directions=OUT, egress=from_(block("fd00::2:0/112", "fd00::2:3/128"))),
        versions=(6,),
    ),
    one(
        "several parts left out",
        "- * xa; + ya xa",
        policy(
            selector=A,
            ingress=from_(block("10.0.1.0/24", "10.0.1.2/32", "10.0.1.3/32")),
        ),
        versions=(4,),
    ),
)


def over(*services: PolicyPort) -> netpolicy.Policy:
    return policy(selector=A, ingress=on(*services))


SHUT, FREE = "- * xa", ""
UDP, SCTP = Protocol.UDP, Protocol.SCTP
SERVICES = tuple(
    one(f"{service} and {connection}", table, over(service), connection=connection)
    for service, connection, table in (
        (PolicyPort(Protocol.TCP, 80), TCP80, FREE),
        (PolicyPort(Protocol.TCP, 81), TCP80, SHUT),
        (PolicyPort(Protocol.TCP), TCP80, FREE),
        (PolicyPort(Protocol.TCP), netpolicy.Connection(UDP, 80), SHUT),
        (PolicyPort(Protocol.TCP), PING, SHUT),
        (PolicyPort(UDP, 80), netpolicy.Connection(UDP, 80), FREE),
        (PolicyPort(UDP, 80), TCP80, SHUT),
        (PolicyPort(SCTP, 80), netpolicy.Connection(SCTP, 80), FREE),
        (PolicyPort(SCTP), netpolicy.Connection(UDP, 80), SHUT),
        (PolicyPort(Protocol.TCP, 79, 81), TCP80, FREE),
        (PolicyPort(Protocol.TCP, 79, 80), TCP80, FREE),
        (PolicyPort(Protocol.TCP, 80, 81), TCP80, FREE),
        (PolicyPort(Protocol.TCP, 80, 80), TCP80, FREE),
        (PolicyPort(Protocol.TCP, 81, 90), TCP80, SHUT),
        (PolicyPort(Protocol.TCP, 70, 79), TCP80, SHUT),
        (PolicyPort(UDP, 79, 81), TCP80, SHUT),
        (PolicyPort(Protocol.TCP, "web"), TCP80, FREE),
        (PolicyPort(Protocol.TCP, "web"), netpolicy.Connection(Protocol.TCP, 81), SHUT),
        (PolicyPort(UDP, "web"), netpolicy.Connection(UDP, 81), FREE),
        (PolicyPort(UDP, "web"), netpolicy.Connection(UDP, 80), SHUT),
        (PolicyPort(SCTP, "web"), netpolicy.Connection(SCTP, 82), FREE),
        (PolicyPort(Protocol.TCP, "nothing"), TCP80, SHUT),
    )
)
COMBINED = (
    one(
        "ping with no ports named",
        "- * xa; + y* xa",
        policy(selector=A, ingress=from_(named("y"))),
        connection=PING,
    ),
    one("ping without any rule", "- * x*", policy(), connection=PING),
    one(
        "any of the ports",
        "- * x*; + y* x*",
        policy(ingress=from_(named("y"), ports=(PolicyPort(UDP), PolicyPort(Protocol.TCP, 80)))),
    ),
    one(
        "peers of one rule, ports of another",
        "- * x*; + z* x*",
        policy(
            ingress=(
                *from_(named("y"), ports=(PolicyPort(Protocol.TCP, 81),)),
                *from_(named("z"), ports=(PolicyPort(Protocol.TCP, 80),)),
            )
        ),
    ),
    one(
        "a name that not every pod has, ingress",
        "- * x*; + * xb",
        policy(ingress=on(PolicyPort(Protocol.TCP, "web"))),
        ports={"xa": {}, "xc": {(Protocol.TCP, "web"): 8080}, "ya": {}},
    ),
    one(
        "a name that not every pod has, egress",
        "- x* *; + x* y*; - x* ya",
        policy(directions=OUT, egress=from_(named("y"), ports=(PolicyPort(Protocol.TCP, "web"),))),
        ports={"xa": {}, "ya": {}},
    ),
    one(
        "a name on the way to anybody",
        "- x* ya",
        policy(directions=OUT, egress=on(PolicyPort(Protocol.TCP, "web"))),
        ports={"ya": {}},
    ),
    one(
        "a name from a block",
        "",
        policy(ingress=from_(block("10.0.0.0/8"), ports=(PolicyPort(Protocol.TCP, "web"),))),
        versions=(4,),
    ),
    one(
        "a name in a block",
        "- x* *; + x* y*",
        policy(
            directions=OUT,
            egress=from_(block("10.0.0.0/8"), named("y"), ports=(PolicyPort(Protocol.TCP, "web"),)),
        ),
        versions=(4,),
    ),
)

SEVERAL = (
    one(
        "policies add up",
        "- * xa; + y* xa; + z* xa",
        policy(selector=A, ingress=from_(named("y"))),
        policy(selector=A, ingress=from_(named("z"))),
    ),
    one("one that allows all beside one that allows none", "", policy(), policy(ingress=OPEN)),
    one(
        "in order and out of it",
        "- * xa; + y* xa; - * xb; - * xc",
        policy(),
        policy(selector=A, ingress=from_(named("y"))),
    ),
    one("of two namespaces", "- * x*; - * ya", policy(), policy("y", A)),
    one(
        "another direction adds nothing",
        "- * x*; - x* *",
        policy(),
        policy(directions=OUT, ingress=OPEN),
    ),
    one("of another network", "", policy(nads=(ObjectKey("x", "other"),))),
    one("of no network", "", policy(nads=(ObjectKey("x", "nothing"),))),
    one("of several", "- * x*", policy(nads=(ObjectKey("x", "other"), ObjectKey("y", "same")))),
    one("by another NAD of the network", "- * x*", policy(nads=(ObjectKey("y", "same"),))),
    one("audited only", "", replace(policy(), mode=netpolicy.Mode.AUDIT)),
    one(
        "what an audited one allows",
        "- * x*",
        policy(),
        replace(policy(ingress=OPEN), mode=netpolicy.Mode.AUDIT),
    ),
)


def is_open(table: str, source: str, target: str) -> bool:
    found = True
    for line in filter(None, table.split(";")):
        sign, one_end, other_end = line.split()
        if fnmatchcase(source, one_end) and fnmatchcase(target, other_end):
            found = sign == "+"
    return found


@pytest.mark.parametrize(
    "case",
    [*TARGETS, *PEERS, *BLOCKS, *SERVICES, *COMBINED, *SEVERAL],
    ids=lambda case: case.name,
)
def test_table(case: Case) -> None:
    ends = {name: end(name, ports=case.ports.get(name, PORTS)) for name in NAMES}
    for version in case.versions:
        for source, target in itertools.permutations(NAMES, 2):
            one_end, other_end = ends[source], ends[target]
            (sent,) = [each for each in one_end.addresses if each.version == version]
            (to,) = [each for each in other_end.addresses if each.version == version]
            connection = replace(case.connection, source=sent, target=to)
            for policies in (case.policies, tuple(reversed(case.policies))):
                is_allowed = evaluator.allowed(policies, NETWORKS, one_end, other_end, connection)
                assert is_allowed == is_open(case.table, source, target), (source, target, version)


def test_a_pod_reaches_itself() -> None:
    closed = (policy(directions=BOTH),)
    assert evaluator.allowed(closed, NETWORKS, end("xa"), end("xa"), TCP80)


def test_blocks_do_not_guess_addresses() -> None:
    within = (policy(ingress=from_(block("0.0.0.0/0"), block("::/0"))),)
    assert not evaluator.allowed(within, NETWORKS, end("ya"), end("xa"), TCP80)


def test_two_networks_are_no_question() -> None:
    with pytest.raises(ValueError, match="'flat' and 'other' are two networks"):
        evaluator.allowed((), NETWORKS, end("xa"), end("xb", "other"), TCP80)


def test_what_isolates_and_what_allows() -> None:
    closed, opened = policy(), policy(selector=A, ingress=(*from_(named("z")), Rule(1, (OF_X,))))
    elsewhere = policy("y")
    verdict = evaluator.explain((closed, opened, elsewhere), NETWORKS, end("xb"), end("xa"), TCP80)
    assert verdict.allowed
    assert verdict.egress == evaluator.Judgement(Direction.EGRESS)
    assert verdict.ingress.isolating == (closed, opened)
    assert verdict.ingress.allowing == ((opened, opened.ingress[1]),)
    verdict = evaluator.explain((closed,), NETWORKS, end("xb"), end("xa"), TCP80)
    assert not verdict.allowed
    assert verdict.egress.passes
    assert (verdict.ingress.isolating, verdict.ingress.allowing) == ((closed,), ())
