"""Runs the node agent: composes its parts, runs them, and ends them in order.

`weft.control.zone` makes the rows, `weft.node` serves CNI calls and sends advertisements.
"""

from __future__ import annotations

import logging
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial

from weft import model, names, rows
from weft.api import policy
from weft.api.pod import Pod
from weft.app import agentoptions, announcer, guards, health, identity, settings
from weft.control import loop
from weft.control.zone import (
    audit,
    bindings,
    derived,
    informers,
    nads,
    networkqos,
    networks,
    pods,
    state,
    writer,
)
from weft.control.zone.objects import Namespace, Node
from weft.kube import events
from weft.kube.client import Client
from weft.metrics import Figures, Metric
from weft.model import ObjectKey
from weft.nic import plan, port
from weft.node import advertise, gc, policydrops, records, restore, server, tunnelpeers, tunnels
from weft.node.connections import Connections
from weft.node.dependencies import Dependencies, Settings
from weft.ovn import ports, tables
from weft.ovsdb import replica
from weft.reasons import EventReason

log = logging.getLogger(__name__)

COMPONENT = "weft-node"  # the reporting component of its Events

# Seconds in which a database server of this node must answer; otherwise the process ends with an
# error that names it, and is restarted.
PATIENCE = 300.0


class Agent:
    """The parts of one node's agent; `own` is its chassis, the replicas are of its databases."""

    def __init__(
        self,
        client: Client,
        options: settings.Agent,
        own: model.NodeInfo,
        *,
        ovs: replica.Replica,
        nb: replica.Replica,
        sb: replica.Replica,
    ) -> None:
        self._client, self._options, self.own, self._ovs = client, options, own, ovs
        self._databases = (ovs, nb, sb)
        self._primary = settings.default_network(options)
        announced = replace(own, gateway=agentoptions.gateway_of(options, own))
        physical_network = options.physical_network if announced.gateway else ""
        self._needs = identity.needs(own.name, ovs, physical_network)
        self.informers = informers.Informers(
            client,
            own.name,
            default_mtu=options.default_mtu,
            primary=self._primary is not None,
            keys_namespace=options.keys_namespace or client.namespace,
            endpoints=options.pod_endpoints,
        )
        self.zone = state.Zone(
            own.name,
            own.chassis,
            remote_ports=ports.RemotePorts(options.remote_ports),
            physical_network=options.physical_network,
            global_namespaces=settings.namespaces("weft node", options.global_namespaces),
        )
        if self._primary is not None:
            self.zone.set_nad(networks.DEFAULT, state.DeclaredNetwork(self._primary))
        self.writer = writer.OvnWriter(self.zone, nb, sb, own=own, on_written=self._written)
        self.derived = derived.Derived(nb, sb)
        self.bindings = bindings.Bindings(nb, sb, own.chassis, self._has_interface)
        ovs.subscribe("Interface", self._wired)
        self.advertiser = advertise.RouterAdvertiser(ovs)
        self.guards = guards.Guards(ovs, nb, own.chassis, self.zone, self.informers.pods)
        self.policy_drops = policydrops.PolicyDrops(nb, sb, ovs.address)
        self._peers = tunnelpeers.TunnelPeers(own.name, ovs)
        self._qos = networkqos.ZoneQos(client, self.zone, self.writer, self.informers)
        self.recorder, self.is_started = events.Recorder(client, COMPONENT), False
        self.connections = Connections(client, self.zone, ovs, sb, self.informers.pods)
        self.audit = audit.Audit(self.zone, self.recorder.emit)
        self._pods = pods.ZonePods(
            *(self.zone, self.informers.pods, self.informers.keys, self._wake_writer, self._warn),
            endpoints=self.informers.endpoints,
        )
        self._announcer = announcer.Announcer(
            *(client, self.informers.own_node, announced),
            primary=self._primary is not None,
            version=(sb, ovs, self.recorder),
        )
        key = ObjectKey("", own.name)
        self.tunnels = tunnels.Tunnels(
            *(client, own, lambda: self.informers.own_node.get(key), ovs, self.recorder),
            number=options.probe_port,
        )
        self.cni: server.Server | None = None

    async def run(self) -> None:
        """Runs all parts until cancelled; raises the error of the first that fails."""
        await loop.together(
            liveness=self._client.liveness.run(),
            control=self._control(),
            chassis=identity.watch(self.own, self._ovs),
            **self.informers.tasks(),
        )

    async def _control(self) -> None:
        for each in self.informers.all():
            await each.synced()
        await self._pods.known()  # an earlier agent's rows stay until then
        deps = self._dependencies()
        await deps.records.load()
        # Before the pods: a later policy would have each pod evaluated again.
        self.informers.namespaces.subscribe(self._namespace_changed)
        self.informers.policies.subscribe(self._policy_changed)
        self._qos.start(self._wake_writer)
        self.informers.nads.subscribe(self._nad_changed)
        for bound in gc.known(deps):
            self._pods.recall(bound.pod, bound.proof)
        self._pods.start()
        self.informers.nodes.subscribe(self._node_changed)
        self.informers.own_node.subscribe(self._own_node_changed)
        self._restorer = restore.Restorer(self._client, deps)
        loop.settle()
        self.cni = server.Server(deps)
        self.is_started = True
        self.writer.before = self.bindings.switch
        name, chassis = self.own.name, self.own.chassis
        log.info("node %s, chassis %s: %d pods known", name, chassis, len(self.informers.pods))
        await loop.together(
            zone=self.writer.run(),
            derived=self._derived(),
            bindings=self.bindings.run(),
            announcer=self._announcer.run(),
            tunnels=self.tunnels.run(),
            advertiser=self.advertiser.run(),
            guards=self.guards.run(),
            peers=self._peers.run(),
            connections=self.connections.run(self.writer.wake),
            audit=self.audit.run(
                self._options.acl_log, agentoptions.checkpoint_of(self._options.cni_socket)
            ),
            events=self.recorder.run(),
            qos=self._qos.run(),
            cni=server.serve(self.cni),
            restorer=self._restorer.run(),
        )

    def _nad_changed(self, key: ObjectKey, _: nads.Nad | None, new: nads.Nad | None) -> None:
        before = self.zone.networks.get(key)
        standing = nads.standing(new, before) if new else None
        self.zone.set_nad(key, standing)
        self.guards.nad_changed(before, standing)
        self._wake_writer()

    def _node_changed(self, key: ObjectKey, _: Node | None, new: Node | None) -> None:
        for problem in new.problems if new is not None else ():
            log.warning("%s", problem)
        name = key.name
        standing = new.standing(self.zone.node(name)) if new is not None else None
        self.zone.set_node(name, standing)
        self._peers.set_node(name, standing)
        self.tunnels.set_peer(name, standing)
        self._wake_writer()

    def _own_node_changed(self, *_: object) -> None:
        self._announcer.check()
        self.tunnels.check()

    def _namespace_changed(self, key: ObjectKey, _: object, new: Namespace | None) -> None:
        self.zone.set_namespace(key.name, new)
        self._wake_writer()

    def _policy_changed(
        self, key: ObjectKey, _: policy.ParsedPolicy | None, new: policy.ParsedPolicy | None
    ) -> None:
        """Sets a policy; one that is invalid now stays in force as it was."""
        before = self.zone.policies.get(key)
        self.zone.policies.set_policy(key, new.in_force(before) if new else None)
        self._wake_writer()

    def _wake_writer(self) -> None:
        self._pods.emit_refusals()
        if len(self.zone):
            self.writer.wake()

    def _written(self) -> None:
        advertisements = self.zone.advertised()
        self.advertiser.update(advertisements)
        self.guards.advertised(advertisements.values())
        self._qos.check()
        self.connections.check()

    async def _derived(self) -> None:
        """Starts once the Northbound rows are written: northd would recompute twice otherwise."""
        await self.writer.settled()
        await self.derived.run()

    def reset(self) -> None:
        """Compares everything again after a lost connection, when changes may have been missed."""
        self.writer.reset()
        self.derived.reset()
        self.bindings.reset()

    def _wired(self, _: str, __: rows.Columns | None, new: rows.Columns | None) -> None:
        name = port.external_ids(new).get(names.IFACE_ID) if new is not None else None
        if name is not None:
            self.bindings.wired(str(name))

    def _has_interface(self, name: str) -> bool:
        return bindings.bound_by(self._ovs.rows("Interface"), name)

    def network_of(self, key: ObjectKey | None) -> model.NetworkSpec | None:
        """Returns the network of a NAD, for a CNI call; None if weft serves no such NAD.

        None is the default network. Raises InvalidInput for an invalid NAD.
        """
        if key is None:
            return self._primary.spec if self._primary else None
        seen = self.informers.nads.get(key)
        return seen.network() if seen else None

    def check_use(self, key: ObjectKey | None, pod: Pod) -> None:
        """Raises NotReady if a pod that does not run yet may not use a NAD."""
        seen = self.informers.nads.get(key) if key is not None else None
        nads.check_use(self.zone, seen, pod.key, runs=pod.is_running)

    def _dependencies(self) -> Dependencies:
        options = self._options
        cni_settings = Settings(
            socket=options.cni_socket, kind=plan.NicKind(options.nic_kind), bridge=port.BRIDGE
        )
        return Dependencies(
            node=self.own.name,
            pods=self.informers.pods,
            network_of=self.network_of,
            decided=self._pods.decided,
            verified=self._pods.verified,
            refusal=self._pods.refusal,
            check_use=self.check_use,
            is_defined=lambda key: self.informers.nads.get(key) is not None,
            ovs=self._ovs,
            records=records.Records(cni_settings.attachments),
            settings=cni_settings,
            warn=self._warn,
            cannot_add=self._cannot_add,
        )

    def _warn(self, pod: model.PodRef, reason: EventReason, message: str) -> None:
        meta = {"namespace": pod.namespace, "name": pod.name, "uid": pod.uid}
        obj = {"apiVersion": "v1", "kind": "Pod", "metadata": meta}
        self.recorder.emit(obj, reason, message)

    def _cannot_add(self) -> list[str]:
        """Returns the reasons why no attachment can be added; faults of single pods are none."""
        troubles = [each.trouble for each in self._databases]
        troubles += [identity.trouble(self._needs, self._ovs), self.guards.bridge.trouble]
        return [trouble for trouble in troubles if trouble]

    def not_ready(self) -> list[str]:
        """Returns why the agent is not ready; empty: ready."""
        reasons = [] if self.is_started else ["not synced yet"]
        troubles = [self._client.liveness.trouble, self.recorder.trouble]
        troubles += [each.trouble for each in self.informers.all()]
        troubles += [each.trouble for each in self._databases]
        parts = (
            *(self._pods, self.writer, self.bindings, self.derived),
            *(self.advertiser, self.guards, self._peers, self._qos),
        )
        troubles += [each.trouble for each in parts]
        troubles.append(identity.trouble(self._needs, self._ovs))
        if self.cni is not None:
            more = (self._announcer, self.tunnels, self.cni.repairer, self._restorer.queue)
            troubles += [each.trouble for each in more]
        return reasons + [trouble for trouble in troubles if trouble]

    def _bound(self) -> Counter[str]:
        """Returns how many ports of pods have their flows, by network."""
        return Counter(
            str(port.external_ids(each).get(names.OVN_NETWORK, ""))
            for each in self._ovs.rows("Interface").values()
            if port.bound(each) is not None and port.installed(each)
        )

    def figures(self) -> Figures:
        done = self.writer.figures
        return {
            Metric.NADS: len(self.informers.nads),
            Metric.PODS: len(self.informers.pods),
            Metric.NODES: len(self.informers.nodes),
            Metric.POLICIES: len(self.informers.policies),
            Metric.ZONE_PENDING: len(self.zone),
            Metric.ZONE_TRANSACTIONS: done.transactions,
            Metric.ZONE_OPERATIONS: done.operations,
            Metric.ZONE_REBUILDS: done.rebuilds,
            Metric.ZONE_REFUSED: done.refused,
            Metric.BINDING_TOUCHES: self.bindings.touches,
            Metric.RECOMPUTES: self.derived.recomputes,
            Metric.AUDITED: self.audit.reported,
            Metric.ZONE_SECONDS: done.seconds,
            Metric.PORTS_BOUND: {(name,): count for name, count in self._bound().items()},
            **(self.cni.figures() if self.cni is not None else {}),
            **self.advertiser.figures(),
            **self.guards.figures(),
            **self.tunnels.figures(),
            **self.policy_drops.figures(),
        }


async def _measure(agents: list[Agent]) -> None:
    """Reads what is counted elsewhere."""
    for agent in agents:
        await agent.policy_drops.measure()


async def run(options: settings.Agent) -> None:
    """Runs the agent until cancelled; raises InvalidInput for invalid options."""
    agentoptions.check(options)
    plugin = agentoptions.plugin_of(options)
    keepers: list[agentoptions.Reconciler] = [plugin] if plugin is not None else []
    agents: list[Agent] = []

    def again() -> None:
        for agent in agents:
            agent.reset()

    def not_ready() -> list[str]:
        reasons = [each.trouble for each in keepers if each.trouble]
        if not agents:
            return [*reasons, "waiting for this node's databases"]
        return reasons + agents[0].not_ready()

    async def serve(stack: AsyncExitStack) -> None:
        async def opened(
            address: str,
            name: str,
            known: tuple[rows.Table, ...],
            observed: tuple[rows.Table, ...] = (),
        ) -> replica.Replica:
            return await stack.enter_async_context(
                await replica.Replica.open(
                    address,
                    name,
                    known,
                    on_reset=again,
                    patience=PATIENCE,
                    observed=observed,
                    probe=options.ovsdb_probe,
                )
            )

        client = await stack.enter_async_context(
            Client.from_kubeconfig(options.kubeconfig or None, component=COMPONENT)
        )
        ovs = await opened(options.ovs, port.DATABASE, port.TABLES)
        if (keeper := agentoptions.switch_of(options, ovs)) is not None:
            keepers.append(keeper)
            await stack.enter_async_context(keeper.running())
        own = await identity.await_own(ovs, options.node)
        nb = await opened(options.nb, tables.NORTHBOUND, tables.NB)
        sb = await opened(options.sb, tables.SOUTHBOUND, tables.SB, tables.DERIVED)
        agents.append(Agent(client, options, own, ovs=ovs, nb=nb, sb=sb))
        await agents[0].run()

    async with AsyncExitStack() as stack:
        tasks = {"agent": serve(stack)}
        if plugin is not None:
            tasks["plugin"] = plugin.run()
        if options.health:
            tasks["health"] = health.serve(
                *(options.health, not_ready, lambda: agents[0].figures() if agents else {}),
                partial(_measure, agents),
            )
        await loop.together(**tasks)


def main(options: settings.Agent) -> None:
    """Runs until a signal ends the process; raises the error that ends it otherwise."""
    loop.run(lambda: run(options))
