"""Gives the commands of weft the labs of this machine."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from weft import errors
from weft.cli import labs
from weft.host import process
from weft.kube import resources
from weft.kube.client import Client
from weft.observe.checks import Finding
from weft.observe.explain import collect
from weft.observe.reach import Matrix
from weft.observe.reading import Addresses
from weft.policy import netpolicy
from weft_lab import sockets, spec, state


class Local:
    """As `weft.cli.labs.Labs` describes it."""

    def owner(self, kubeconfig: Path) -> str:
        return state.of_kubeconfig(kubeconfig)

    def kubeconfig(self, lab: str) -> Path:
        return state.Folder.of(lab or spec.DEFAULT_NAME).kubeconfig

    def machine_findings(self) -> Sequence[Finding]:
        from weft_lab import machine

        return machine.judge(machine.read_facts())

    def is_running(self, lab: str) -> bool:
        peer = state.Folder.of(lab or spec.DEFAULT_NAME).connect()
        if peer is not None:
            peer.close()
        return peer is not None

    @contextlib.contextmanager
    def databases(self, lab: str) -> Iterator[Sequence[Addresses]]:
        from weft_lab import up

        name = lab or spec.DEFAULT_NAME
        with up.running(name) as peer:
            known = state.Folder.of(name).load() or spec.Lab(name=name)
            yield [Addresses(node, **at) for node, at in sockets.databases(peer, known)]

    async def measure(
        self,
        lab: str,
        network: tuple[str, str],
        question: netpolicy.Connection,
        *,
        ipv6: bool,
        patience: float,
    ) -> Matrix:
        from weft_lab import up
        from weft_lab.probes import measuring

        name = lab or spec.DEFAULT_NAME
        with up.running(name) as peer:
            async with Client.from_kubeconfig(str(state.Folder.of(name).kubeconfig)) as api:
                return await measuring.measure_network(
                    api, peer, network, question, ipv6=ipv6, patience=patience
                )

    @contextlib.contextmanager
    def command(self, lab: str, node: str, module: str) -> Iterator[process.Command]:
        from weft_lab import target, up

        with up.running(lab or spec.DEFAULT_NAME) as peer:
            place = target.find(peer, node)
            yield target.command(place, (sys.executable, "-m", module))

    @contextlib.asynccontextmanager
    async def explorer(self, lab: str) -> AsyncIterator[collect.Explorer]:
        from weft_lab import up
        from weft_lab.probes import exploring, measuring

        with up.running(lab or spec.DEFAULT_NAME) as peer:
            async with measuring.probing(peer.pid) as prober:
                yield exploring.LabExplorer(peer, prober)

    def machine_problems(self, obj: Mapping[str, Any]) -> list[errors.InvalidInput]:
        from weft_lab.vm import validation

        is_vm = obj["kind"] == resources.VMS.kind
        found = validation.machine_findings if is_vm else validation.instance_findings
        return [*validation.unknown_findings(obj), *found(obj)]


LABS: labs.Labs = Local()
