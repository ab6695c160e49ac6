"""Records the addresses, MACs and tunnel keys that pods hold on one network.

On a layer3 network each node has its own ledger, for its node subnets.

The pods' annotations are the source of truth. `reserve` rebuilds a ledger from them in any order;
then `allocate` and `release` change it. A call that fails changes nothing. Without clock or random
numbers, equal calls give equal results.

`label` is an owner's name in messages, such as "Pod default/web1".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from ipaddress import IPv4Interface, IPv6Interface, ip_network
from typing import NamedTuple

from weft import errors, model, names, ranges
from weft.alloc import gateways, ids, macs, nodesubnets, platform, pool
from weft.alloc.nodesubnets import NodeSubnets
from weft.alloc.segmentmacs import SegmentMacs


class AllocationOwner(NamedTuple):
    """What holds an allocation: an attachment of a pod, by key and uid, or an IPAMClaim.

    `str` of an owner must never change: MACs derive from it (`macs.candidates`).
    """

    attachment: str = ""
    pod: str = ""
    claim: model.ObjectKey | None = None

    def __str__(self) -> str:
        if self.claim is None:
            return f"{self.attachment}/{self.pod}"
        return f"IPAMClaim/{self.claim.namespace}:{self.claim.name}"


class Ledger:
    """The owners of addresses, MACs and port keys of a network, or of a node's subnets of it."""

    def __init__(
        self,
        network: model.Network,
        node_subnets: NodeSubnets | None = None,
        segment: SegmentMacs | None = None,  # of the physical network that it leads to
    ) -> None:
        self.network, self.node_subnets, self.segment = network, node_subnets, segment
        spec = network.spec
        # The routers and DNS servers that DHCP announces are never allocated in turn; the pod that
        # runs one may request its address.
        servers = tuple(ip_network(address) for address in (*spec.dhcp.routers, *spec.dhcp.dns))
        subnets = spec.subnets if node_subnets is None else node_subnets.subnets
        pairs = spec.permits.address_pairs
        # Those that hold a whole subnet are for routers, and keep no address back.
        pairs = tuple(p for p in pairs if not any(model.within(each, p) for each in subnets))
        reserved = (*spec.reserved_subnets, *servers, *pairs)
        self._platform = {
            each for subnet in subnets if node_subnets for each in platform.own(subnet)
        }
        self._routers = {names.address_mac(ranges.router(s).ip) for s in subnets if node_subnets}
        own = (*self._platform, names.SERVER_ADDRESS)
        excluded = (*spec.exclude_subnets, *map(ip_network, (*own, *spec.dns_servers)))
        self._pools = {subnet.version: pool.Pool(subnet, excluded, reserved) for subnet in subnets}
        # Port keys on a node's own switch are used in its zone only, where OVN chooses them.
        self._keys = ids.port_keys() if node_subnets is None else None
        self._allocations: dict[AllocationOwner, model.Allocation] = {}
        self._labels: dict[AllocationOwner, str] = {}
        self._by_address: dict[model.Address, AllocationOwner] = {}
        self.families = Counter[int]()  # how many of these are of which family
        self._by_mac: dict[str, AllocationOwner] = {}
        self._by_key: dict[int, AllocationOwner] = {}

    def get(self, owner: AllocationOwner) -> model.Allocation | None:
        return self._allocations.get(owner)

    def __len__(self) -> int:
        return len(self._allocations)

    def allocations(self) -> dict[AllocationOwner, model.Allocation]:
        """Returns the allocation of every owner."""
        return dict(self._allocations)

    def usage(self) -> tuple[pool.Usage, ...]:
        """Returns how full each subnet is."""
        return tuple(each.usage for each in self._pools.values())

    def outside(self) -> list[tuple[model.Address, AllocationOwner]]:
        """Returns the held addresses that are not allocated in turn, with their owners."""
        held = (address for each in self._pools.values() for address in each.outside())
        return [(each, self._by_address[each]) for each in held if each in self._by_address]

    def owner_of(self, value: model.Address | str) -> AllocationOwner | None:
        """Returns the owner of an address or MAC on this network."""
        return self._by_mac.get(value) if isinstance(value, str) else self._by_address.get(value)

    def owner_label(self, value: model.Address | str) -> str:
        """Returns the label of the owner of an address or MAC, "" if it is free."""
        owner = self.owner_of(value)
        if owner is None and isinstance(value, str):
            return self._elsewhere(value)
        return self._shown(owner) if owner is not None else ""

    def reserve(
        self, owner: AllocationOwner, allocation: model.Allocation, *, label: str = ""
    ) -> None:
        """Records an earlier allocation of `owner`, even if today's rules would not allow it.

        Raises Conflict for what another owner holds, InvalidInput if `owner` holds something else.
        """
        known = self._allocations.get(owner)
        if known is not None:
            self._refuse_override(owner, label, known, allocation)
            return
        where = f"{label or owner} on network {self.network.name}"
        for address in allocation.addresses:
            self._refuse_held(where, "address", address.ip, self._by_address.get(address.ip))
        self._refuse_held(where, "mac", allocation.mac, self._by_mac.get(allocation.mac))
        taken_by = self._by_key.get(allocation.tunnel_id)
        self._refuse_held(where, "tunnel_id", allocation.tunnel_id, taken_by)
        self._hold(owner, label, allocation)

    def keep(
        self, owner: AllocationOwner, addresses: tuple[model.Interface, ...], mac: str, label: str
    ) -> None:
        """Records addresses that `owner` had before, with `mac`, or another one if it is not free.

        Raises Conflict for an address that another owner holds; never for a MAC.
        """
        where = f"{label} on network {self.network.name}"
        for address in addresses:
            self._refuse_held(where, "address", address.ip, self._by_address.get(address.ip))
        if not mac or self._is_taken(mac):
            mac = self._free_mac(addresses, str(owner))
        self._hold(owner, label, model.Allocation(mac, addresses))

    def yield_mac(self, mac: str, owner: AllocationOwner) -> None:
        """Gives another MAC to a claim that only keeps addresses, if it has what `owner` had."""
        holder = self._by_mac.get(mac)
        if holder is None or holder == owner or holder.claim is None:
            return
        kept, label = self._allocations[holder], self._labels.get(holder, "")
        if not kept.tunnel_id:  # or its pods use it
            other = replace(kept, mac=self._free_mac(kept.addresses, str(holder)))
            self.release(holder)
            self._hold(holder, label, other)

    def allocate(
        self, owner: AllocationOwner, attachment: model.Attachment, *, label: str = ""
    ) -> model.Allocation:
        """Returns the allocation for `attachment`; the present one if `owner` has one.

        Raises InvalidInput for a request that breaks a rule, Conflict for one that somebody else
        holds, Exhausted if no address or port key is free.
        """
        known = self._allocations.get(owner)
        if known is not None:
            return known
        where = f"{label or owner}, attachment {attachment.key} to network {self.network.name}"
        addresses = self._choose_addresses(where, owner, attachment)
        gateways.check(where, attachment.default_route, addresses)
        mac = self._choose_mac(where, owner, attachment, addresses)
        key = self._keys.peek() if self._keys else 0
        if key is None:
            raise errors.Exhausted(
                f"no port key is free: the network's {len(self)} attachments use all of them",
                where=where,
                hint="remove pods from the network, or use a second one",
            )
        routers, routes = nodesubnets.gateways_and_routes(self.network.spec, self.node_subnets)
        role = self.network.spec.role
        allocation = model.Allocation(mac, addresses, key, routers, routes, role)
        self._hold(owner, label, allocation, in_turn=True)
        return allocation

    def release(self, owner: AllocationOwner) -> model.Allocation | None:
        """Frees and returns what `owner` holds; None if it holds nothing."""
        allocation = self._allocations.pop(owner, None)
        if allocation is None:
            return None
        self._labels.pop(owner, None)
        for address in allocation.addresses:
            self._by_address.pop(address.ip, None)
            self.families[address.version] -= 1
            if (own := self._pools.get(address.version)) and address.ip in own.subnet:
                own.release(address.ip)
        self._by_mac.pop(allocation.mac, None)
        if self.segment is not None:
            self.segment.remove(self.network.name, allocation.mac)
        if allocation.tunnel_id:
            self._by_key.pop(allocation.tunnel_id, None)
            if self._keys:
                self._keys.release(allocation.tunnel_id)
        return allocation

    def _hold(
        self,
        owner: AllocationOwner,
        label: str,
        allocation: model.Allocation,
        *,
        in_turn: bool = False,
    ) -> None:
        self._allocations[owner] = allocation
        if label:
            self._labels[owner] = label
        for address in allocation.addresses:
            ip = address.ip
            self._by_address[ip] = owner
            self.families[address.version] += 1
            # The network's subnets may have changed since: pods keep their older addresses.
            if (own := self._pools.get(address.version)) and ip in own.subnet:
                own.take(ip, in_turn=in_turn)
        if allocation.mac:
            self._by_mac[allocation.mac] = owner
            if self.segment is not None:
                self.segment.add(self.network.spec, allocation.mac, self._shown(owner))
        if allocation.tunnel_id:
            self._by_key[allocation.tunnel_id] = owner
            if self._keys:
                self._keys.take(allocation.tunnel_id, in_turn=in_turn)

    def _choose_addresses(
        self, where: str, owner: AllocationOwner, attachment: model.Attachment
    ) -> tuple[model.Interface, ...]:
        requested = attachment.addresses
        if not self._pools and self.node_subnets is None:
            return tuple(self._without_subnets(where, owner, requested))
        by_family = self._by_family(where, owner, requested)
        chosen: list[model.Interface] = []
        for version, own in self._pools.items():
            # A pod must not get the address of the gateway of its own default route.
            address = by_family.get(version) or own.peek(attachment.default_route)
            if address is None:
                raise self._exhausted(where, own)
            make = IPv4Interface if version == 4 else IPv6Interface
            chosen.append(make((int(address), own.subnet.prefixlen)))
        return tuple(chosen)

    def _exhausted(self, where: str, own: pool.Pool) -> errors.Exhausted:
        usage, left = own.usage, own.peek()
        why = f"all {usage.total} are taken" if usage.total else "excludeSubnets leaves none"
        if left is not None:
            why = f"all but {left}, its own gateway, are taken"
        return errors.Exhausted(
            f"no address is free in subnet {own.subnet}: {why}",
            where=where,
            hint=(
                "remove pods from the network, exclude less, or widen subnets"
                if self.node_subnets is None
                else f"run pods on other nodes than {self.node_subnets.node}, or remove some there"
            ),
        )

    def _without_subnets(
        self,
        where: str,
        owner: AllocationOwner,
        requested: Iterable[model.Interface | model.Address],
    ) -> Iterator[model.Interface]:
        """Yields the requested addresses on a network without subnets: each must only be free."""
        for request in requested:
            if not isinstance(request, (IPv4Interface, IPv6Interface)):
                rule = "needs a prefix length: the network has no subnets to take it from"
                example = f"{request}/{24 if request.version == 4 else 64}"
                raise errors.InvalidInput(where, "ips", str(request), rule, hint=f"write {example}")
            self._refuse_held(where, "ips", request.ip, self._by_address.get(request.ip), owner)
            yield request

    def _by_family(
        self,
        where: str,
        owner: AllocationOwner,
        requested: Iterable[model.Interface | model.Address],
    ) -> dict[int, model.Address]:
        """Returns the requested address of each family; raises unless it is valid and free."""
        by_family: dict[int, model.Address] = {}
        for request in requested:
            own = self._pools.get(request.version)
            if own is None:
                subnets = ", ".join(str(each.subnet) for each in self._pools.values())
                rule = f"is IPv{request.version}, but the network has only {subnets}"
                hint = f"choose an address of {subnets}"
                raise errors.InvalidInput(where, "ips", str(request), rule, hint=hint)
            address = self._within(where, own, request)
            if request.version in by_family:
                rule = (
                    f"is a second IPv{request.version} address beside {by_family[request.version]}"
                )
                hint = "request one of each family; list the network twice for a second NIC"
                raise errors.InvalidInput(where, "ips", str(request), rule, hint=hint)
            self._refuse_held(where, "ips", address, self._by_address.get(address), owner)
            by_family[request.version] = address
        return by_family

    def _within(
        self, where: str, own: pool.Pool, request: model.Interface | model.Address
    ) -> model.Address:
        address: model.Address
        if isinstance(request, (IPv4Interface, IPv6Interface)):
            address = request.ip
            length = own.subnet.prefixlen
            if address in own.subnet and request.network.prefixlen != length:
                rule = f"has another prefix length than subnet {own.subnet}"
                hint = f"write {address} or {address}/{length}"
                raise errors.InvalidInput(where, "ips", str(request), rule, hint=hint)
        else:
            address = request
        objection = own.objection(address)
        if address in self._platform:
            objection = "is the node's own on this network", "request another one"
        if str(address) == names.SERVER_ADDRESS and address in own.subnet:
            objection = "belongs to the DHCP server of every network", "request another one"
        if objection is not None:
            rule, hint = objection
            if self.node_subnets is not None and address not in own.subnet:
                rule += f", the subnet of node {self.node_subnets.node}"
                hint += ", or run the pod on the node whose subnet has it"
            raise errors.InvalidInput(where, "ips", str(request), rule, hint=hint)
        return address

    def _choose_mac(
        self,
        where: str,
        owner: AllocationOwner,
        attachment: model.Attachment,
        addresses: tuple[model.Interface, ...],
    ) -> str:
        if attachment.mac in (names.SERVER_MAC, *self._routers):
            rule = "is where the DHCP and router advertisements of every network come from"
            if attachment.mac in self._routers:
                rule = "is that of the node's router on this network"
            raise errors.InvalidInput(where, "mac", attachment.mac, rule, hint="choose another one")
        if attachment.mac:
            self._refuse_held(where, "mac", attachment.mac, self._by_mac.get(attachment.mac), owner)
            if held := self._elsewhere(attachment.mac):
                raise _conflict(where, "mac", attachment.mac, held)
            return attachment.mac
        return self._free_mac(addresses, attachment.identity or str(owner))

    def _free_mac(self, addresses: tuple[model.Interface, ...], identity: str) -> str:
        candidates = macs.candidates(addresses, identity)
        return next(mac for mac in candidates if not self._is_taken(mac))

    def _is_taken(self, mac: str) -> bool:
        known = (self._by_mac, self._routers, (names.SERVER_MAC,))
        return any(mac in each for each in known) or bool(self._elsewhere(mac))

    def _elsewhere(self, mac: str) -> str:
        """Returns who holds a MAC on another network of the same segment, "" for nobody."""
        return self.segment.owner(self.network.spec, mac) if self.segment is not None else ""

    def _shown(self, owner: AllocationOwner) -> str:
        return self._labels.get(owner) or str(owner)

    def _refuse_held(
        self,
        where: str,
        field: str,
        value: object,
        taken_by: AllocationOwner | None,
        owner: AllocationOwner | None = None,
    ) -> None:
        if taken_by is None:
            return
        if owner is not None and taken_by.pod and owner.pod == taken_by.pod:
            raise errors.Conflict(
                f"{field} {errors.as_written(value)}: is held by attachment {taken_by.attachment} "
                "of the same pod",
                where=where,
                hint="request another one in one of the two",
                field=field,
            )
        raise _conflict(where, field, value, self._shown(taken_by))

    def _refuse_override(
        self, owner: AllocationOwner, label: str, known: model.Allocation, new: model.Allocation
    ) -> None:
        """Raises InvalidInput if an owner's allocation would change: allocations are final."""
        for field in ("addresses", "mac", "tunnel_id"):
            before, after = getattr(known, field), getattr(new, field)
            if before != after:
                listed = [str(each) for each in after] if field == "addresses" else after
                was = ", ".join(map(str, before)) if field == "addresses" else before
                raise errors.InvalidInput(
                    f"{label or self._shown(owner)} on network {self.network.name}",
                    field,
                    listed,
                    f"differs from the pod's earlier allocation: {was or 'none'}",
                    hint="restore the annotation, or delete and recreate the pod",
                )


def _conflict(where: str, field: str, value: object, holder: str) -> errors.Conflict:
    message = f"{field} {errors.as_written(value)}: is held by {holder}"
    hint = "request another one; the pod continues when this one is free"
    return errors.Conflict(message, where=where, hint=hint, field=field)
