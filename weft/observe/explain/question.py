"""Makes the evidence that Kubernetes objects give to a question, and adds to it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from weft import errors, model
from weft.kube import resources
from weft.observe import guestaddresses, members, reach
from weft.observe.explain import ends, naming, policies
from weft.observe.explain.evidence import (
    End,
    EndKind,
    Evidence,
    NetworkFacts,
    PolicyFinding,
    Unseen,
    UsedAddresses,
)
from weft.observe.members import Object
from weft.policy import netpolicy

SOURCE, TARGET = "source", "target"
_AGENT = "AgentConnected"
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", re.ASCII)  # RFC 1123


@dataclass(frozen=True, slots=True)
class Question:
    """What the user asks. `network`: a network or NAD, "" for the one that both are on."""

    source: str
    target: str
    connection: netpolicy.Connection
    network: str = ""
    namespace: str = "default"
    ipv6: bool = False


def namespaces(question: Question) -> tuple[str, ...]:
    """The namespaces that a question names: what is listed by one who may not list all."""
    named = [question.namespace]
    for text in (question.source, question.target, question.network):
        before, _, own = text.rpartition("/")[0].rpartition("/")
        if before or own not in naming.KINDS:  # vm/NAME has no namespace
            named.append(own)
    return tuple(dict.fromkeys(each for each in named if _NAMESPACE.fullmatch(each)))


def answered(question: Question, found: naming.Found) -> Evidence:
    """The evidence in the objects. Raise InvalidInput for what names nothing, or too much."""
    texts = {"A": question.source, "B": question.target}
    named = tuple(
        naming.named(text, field, question.namespace, found) for field, text in texts.items()
    )
    itself = errors.InvalidInput(
        naming.COMMAND, "B", question.target, "is A itself, which always reaches itself"
    )
    if named[0] == named[1]:
        raise itself
    if question.network:
        networks: tuple[str, ...] = (ends.chosen(question.network, question.namespace, found),)
    else:
        networks = ends.shared(named[0], named[1], found)
    for field, which in zip(texts, named, strict=True):
        if which.address is not None and not ends.is_led_to(which.address, found):
            naming.check_followed(which.address, field, found)
    if len(networks) > 1:
        raise ends.several(networks)
    name = next(iter(networks), "")
    source, target = (ends.find(which, name, found) for which in named)
    if source.member and target.member and source.member.pod == target.member.pod:
        raise itself
    evidence = Evidence(
        source=source,
        target=target,
        connection=question.connection,
        network=ends.facts(name, found) if name else Unseen("they share none"),
        beside=None if name else ends.beside(source, target, found),
        states=ends.states((source, target), found),
        encaps=ends.encaps(found),
        routers=ends.routers(found),
        used={role: _reported(end, found) for role, end in ((SOURCE, source), (TARGET, target))},
    )
    return judged(evidence, found, ipv6=question.ipv6)


def judged(evidence: Evidence, found: naming.Found, *, ipv6: bool = False) -> Evidence:
    """The evidence with the addresses that the ends use, and what policies say of them."""
    addresses = _addresses(evidence, ipv6)
    connection = replace(
        evidence.connection,
        source=addresses[0] if addresses else evidence.source.address,
        target=addresses[1] if addresses else evidence.target.address,
    )
    evidence = replace(evidence, connection=connection)
    return replace(evidence, policies=_policies(evidence, found))


def learned(evidence: Evidence, used: Mapping[str, UsedAddresses | Unseen]) -> Evidence:
    """The evidence with what the ends' interfaces have; members without allocated addresses have
    those."""
    source, target = (
        _learned(end, used.get(role))
        for role, end in ((SOURCE, evidence.source), (TARGET, evidence.target))
    )
    return replace(evidence, source=source, target=target, used={**evidence.used, **used})


def _learned(end: End, used: UsedAddresses | Unseen | None) -> End:
    if end.member is None or not isinstance(used, UsedAddresses):
        return end
    seen = [str(address.ip) for address in used.addresses]
    return replace(end, member=members.learned(end.member, seen))


def _reported(end: End, found: naming.Found) -> UsedAddresses | Unseen:
    namespace = end.member.endpoint.namespace if end.member else ""
    if end.kind is EndKind.MACHINE and not found.sees(resources.VMIS, namespace):
        return Unseen(f"you may not list virtual machine instances of namespace {namespace}")
    return reported(end, found.objects.instances)


def reported(end: End, instances: Iterable[Object]) -> UsedAddresses | Unseen:
    """The addresses that a guest agent reports at the VirtualMachineInstance, without prefixes."""
    if end.kind is not EndKind.MACHINE or end.member is None:
        return Unseen("only a look into the pod can say")
    mine = [
        each
        for each in instances
        if f"{each['metadata']['namespace']}/{each['metadata']['name']}" == end.name
    ]
    status = (mine[0].get("status") or {}) if mine else {}
    connected = any(
        each.get("type") == _AGENT and each.get("status") == "True"
        for each in status.get("conditions") or ()
    )
    if not connected:
        return Unseen("the guest has no agent that answers")
    key = end.member.endpoint.namespace, end.member.machine, end.member.mac
    nic = guestaddresses.nics(mine).get(key)
    if nic is not None:
        return UsedAddresses(guestaddresses.of(nic), "the guest agent", prefixes=False)
    return Unseen("the guest agent does not report this interface")


def _addresses(evidence: Evidence, ipv6: bool) -> tuple[model.Address, model.Address] | None:
    source, target = (_with_address(end) for end in (evidence.source, evidence.target))
    if source is None or target is None:
        return None
    return reach.addresses(source, target, ipv6=ipv6)


def _with_address(end: End) -> reach.Member | None:
    """The end as a member that has the address which the user named, if one was named."""
    if end.address is None:
        return end.member
    network = end.member.endpoint.network if end.member else ""
    endpoint = end.member.endpoint if end.member else _stranger(end, network)
    endpoint = replace(endpoint, addresses=(end.address,))
    if end.member is not None:
        return replace(end.member, endpoint=endpoint)
    return reach.Member(end.name, "", "", "", endpoint)


def _stranger(end: End, network: str) -> netpolicy.Endpoint:
    """An end that is no pod, as policies see it."""
    addresses = () if end.address is None else (end.address,)
    return netpolicy.Endpoint("", "", {}, {}, network, addresses, {})


def _policies(evidence: Evidence, found: naming.Found) -> tuple[PolicyFinding, ...]:
    network = evidence.network
    if not isinstance(network, NetworkFacts):
        return ()
    both = [
        end.member.endpoint if end.member else _stranger(end, network.name)
        for end in (evidence.source, evidence.target)
    ]
    known = members.networks(found.objects)
    in_force = members.in_force(found.objects)
    judged = policies.judge(
        found.objects.policies, in_force, known, both[0], both[1], evidence.connection
    )
    return tuple(
        PolicyFinding(finding.direction, unseen=why)
        if (why := _hidden(finding, evidence, in_force, found))
        else finding
        for finding in judged
    )


def _hidden(
    finding: PolicyFinding,
    evidence: Evidence,
    in_force: Iterable[netpolicy.Policy],
    found: naming.Found,
) -> str:
    """What the user may not read without which policies cannot be judged; "" if he reads enough.

    Policies select pods of their own namespace; rules look at the labels of the peer's.
    """
    subject, peer = evidence.source, evidence.target
    if finding.direction is netpolicy.Direction.INGRESS:
        subject, peer = peer, subject
    if subject.member is None:
        return subject.blind
    namespace = subject.member.endpoint.namespace
    if not found.sees(resources.MULTINETWORKPOLICIES, namespace):
        return f"you may not list the policies of namespace {namespace}"
    known = members.networks(found.objects)
    for each in in_force:
        for nad in each.nads if each.namespace == namespace else ():
            is_known = nad in known or nad in dict(each.last_networks)
            if not is_known and not found.sees(resources.NADS, nad.namespace):
                return f"policy {each.key} is for {nad}, a NAD that you may not read"
    if not finding.policies:
        return ""
    if peer.blind:
        return peer.blind
    home = peer.member.endpoint.namespace if peer.member else ""
    if home and not found.sees(resources.NAMESPACES, home):
        return f"you may not read the labels of namespace {home}"
    return ""
