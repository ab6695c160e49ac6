"""Says which policies decide about a flow: by the reference evaluator, as they are declared. Pure.

Nodes see that a packet is dropped, and in which direction, but OVN has one rule for all that the
policies of a namespace do not allow. Which policies these are for one end is declared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from weft.kube import resources
from weft.model import ObjectKey
from weft.observe import members
from weft.observe.flows.places import Place
from weft.observe.flows.record import FlowPolicy
from weft.observe.members import Objects
from weft.policy import evaluator, netpolicy
from weft.policy.netpolicy import Direction

_PROTOCOLS = {str(each): each for each in netpolicy.Protocol}


@dataclass(frozen=True, slots=True)
class Opinion:
    """What declared policies say. `denying`: all that isolate an end in a direction in which none
    allows the flow. `allowing`: a rule of each direction that is isolated and passes."""

    denying: tuple[FlowPolicy, ...] = ()
    allowing: tuple[FlowPolicy, ...] = ()
    isolating: tuple[FlowPolicy, ...] = ()

    @property
    def allows(self) -> bool:
        return not self.denying


class Judge:
    """The policies of `objects`. `partial`: kinds of which not all were read, by plural, with the
    namespaces that were; as objects.read_allowed returns it."""

    def __init__(
        self, objects: Objects, partial: Mapping[str, frozenset[str]] | None = None
    ) -> None:
        self._objects = objects
        self._policies = members.in_force(objects)
        self._networks: Mapping[ObjectKey, str] = members.networks(objects)
        self._endpoints: dict[str, dict[str, netpolicy.Endpoint]] = {}
        self._selecting: dict[tuple[str, str], tuple[netpolicy.Policy, ...]] = {}
        self._readable = _readable(partial or {})

    def is_whole(self, source: Place, target: Place) -> bool:
        """Whether all that decides about a flow between these was read: a policy is of its pods'
        namespace."""
        if self._readable is None:
            return True
        pods = [each.pod for each in (source, target) if each.pod]
        return all(each.partition("/")[0] in self._readable for each in pods)

    def opinion(
        self, network: str, source: Place, target: Place, protocol: str, port: int | None
    ) -> Opinion:
        """What policies say of a flow; of one without a port, what they say of all ports."""
        ends = self._endpoint(network, source), self._endpoint(network, target)
        connection = netpolicy.Connection(
            _PROTOCOLS.get(protocol),
            port or 0,
            ip_address(source.end.address) if source.end.address else None,
            ip_address(target.end.address) if target.end.address else None,
        )
        chosen = {*self._selected(network, source, ends[0])}
        chosen |= {*self._selected(network, target, ends[1])}
        ordered = [each for each in self._policies if each in chosen]
        verdict = evaluator.explain(ordered, self._networks, *ends, connection)
        denying: list[FlowPolicy] = []
        allowing: list[FlowPolicy] = []
        isolating: list[FlowPolicy] = []
        for one in (verdict.egress, verdict.ingress):
            named = [FlowPolicy(p.namespace, p.name, one.direction) for p in one.isolating]
            isolating += named
            if not one.passes:
                denying += named
            elif one.allowing:
                policy, rule = one.allowing[0]
                allowing.append(
                    FlowPolicy(policy.namespace, policy.name, one.direction, rule.index)
                )
        return Opinion(tuple(denying), tuple(allowing), tuple(isolating))

    def _endpoint(self, network: str, place: Place) -> netpolicy.Endpoint:
        if network not in self._endpoints:
            found = members.on(network, self._objects)
            self._endpoints[network] = {each.pod: each.endpoint for each in found}
        known = self._endpoints[network].get(place.pod)
        if known is not None:
            return known
        namespace, _, pod = place.pod.partition("/")
        return netpolicy.Endpoint(namespace, pod, {}, {}, network, (), {})

    def _selected(
        self, network: str, place: Place, endpoint: netpolicy.Endpoint
    ) -> tuple[netpolicy.Policy, ...]:
        if not place.pod:
            return ()
        key = network, place.pod
        if key not in self._selecting:
            self._selecting[key] = tuple(
                each for each in self._policies if evaluator.selects(each, self._networks, endpoint)
            )
        return self._selecting[key]


def _readable(partial: Mapping[str, frozenset[str]]) -> frozenset[str] | None:
    """The namespaces of which all that policies speak of was read; None: all."""
    if resources.NADS.plural in partial:
        return frozenset()  # a policy may name a NAD of any namespace
    kinds = resources.MULTINETWORKPOLICIES, resources.PODS, resources.NAMESPACES
    read = [partial[each.plural] for each in kinds if each.plural in partial]
    return frozenset.intersection(*read) if read else None


def in_direction(found: Iterable[FlowPolicy], direction: str) -> tuple[FlowPolicy, ...]:
    """Those of one direction; of all if it is not known."""
    if direction not in (*Direction,):
        return tuple(found)
    return tuple(each for each in found if each.direction == direction)
