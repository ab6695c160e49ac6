"""Captures the packets of one NIC of a pod or virtual machine, where it is: `weft capture`."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import re
import select
import signal
import stat
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any, BinaryIO

import typer

from weft import errors
from weft.cli import clusters, durations, labs
from weft.cli import output as views
from weft.host import process
from weft.kube import resources
from weft.kube.client import Client
from weft.observe import members, objects
from weft.observe.capture import choice, expression, lines, onnode, order, pcapng, session
from weft.observe.checks import SYSTEM
from weft.observe.explain import agentpods

COMMAND = expression.COMMAND
MODULE = "weft.observe.capture.onnode"
STDOUT = "-"
# Links to descriptors of this process, which the user's shell has opened.
_SHELLS = re.compile(r"/dev/(stdout|stderr|fd/[0-9]+)|/proc/self/fd/[0-9]+", re.ASCII)


def command(
    target: Annotated[
        str,
        typer.Argument(metavar=choice.FIELD, help="[pod/|vm/][NAMESPACE/]NAME: whose NIC."),
    ],
    nic: Annotated[
        str,
        typer.Option("--nic", metavar="NAME", help="As pod, VM or guest name it, or its MAC."),
    ] = "",
    network: Annotated[
        str, typer.Option("--network", metavar="NAME", help="The NIC on this network.")
    ] = "",
    write: Annotated[
        str,
        typer.Option(
            "--write", "-w", metavar="FILE", help="Write pcapng to a file; - is standard output."
        ),
    ] = "",
    filter: Annotated[
        str,
        typer.Option("--filter", metavar="EXPR", help="As 'tcp and port 443 and host 10.9.0.7'."),
    ] = "",
    count: Annotated[
        int, typer.Option("--count", "-c", help="End after so many packets.")
    ] = order.PACKETS,
    duration: Annotated[
        str, typer.Option("--duration", metavar="TIME", help="End after a time, as 30s or 10m.")
    ] = f"{order.SECONDS:g}s",
    size: Annotated[
        str, typer.Option("--size", metavar="BYTES", help="End before the file has more, as 1Gi.")
    ] = f"{order.BYTES >> 20}Mi",
    snaplen: Annotated[
        int, typer.Option("--snaplen", "-s", help="Keep so many bytes of each packet.")
    ] = pcapng.LONGEST,
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", help="Namespace of a name without one.")
    ] = "default",
    system: Annotated[
        str,
        typer.Option("--weft-namespace", metavar="NAME", help="Namespace in which weft runs."),
    ] = SYSTEM,
    kubeconfig: clusters.Kubeconfig = "",
    context: clusters.Context = "",
    lab: clusters.Lab = "",
    form: views.Option = views.Output.text,
) -> None:
    """Capture the packets of one NIC, both ways, at its port on the node where it is.

    Without -w each packet is a line. Ctrl-C ends it; a file is whole then. On a cluster it needs
    kubectl, and the right to exec into the pods of weft's agents.
    """
    expression.parse(filter)
    limits = _limits(count, duration, size, snaplen)
    named = choice.target(target, namespace)
    _check(write, form)
    cluster = clusters.choose(kubeconfig, context, lab)
    chosen, agents = asyncio.run(_chosen(cluster, named, nic, network, system))
    asked = order.Order(chosen.port, str(chosen.pod), chosen.title, filter, limits)
    found = _run(cluster, chosen, agents, asked, write, form)
    _report(_located(cluster, named, found), form)


def _run(
    cluster: clusters.Cluster,
    chosen: choice.Nic,
    agents: agentpods.AgentPods | None,
    asked: order.Order,
    write: str,
    form: views.Output,
) -> _Result:
    """Capture until it ends."""
    with _command(cluster, chosen.node, agents) as there, _sink(write) as sink:
        begun = f"capturing {chosen.title} of {chosen.owner} on {chosen.node}; Ctrl-C ends it"
        taker = _Taker(sink, not write, begun if form is views.Output.text else "")
        outcome = asyncio.run(_captured(there, asked, taker))
    return _Result(chosen, outcome, write)


def _report(found: _Result, form: views.Output) -> None:
    """Raise Unavailable if the node's end of the capture is missing."""
    if form is views.Output.text:
        for each in written(found):
            typer.echo(each, err=True)
    else:
        views.emit(form, data(found), lambda: None)
    if found.outcome.statistics is None:
        what = f"the end of the capture is missing: {found.outcome.trouble}"
        raise errors.Unavailable(what, where=f"node {found.nic.node}")


def _limits(count: int, duration: str, size: str, snaplen: int) -> order.Limits:
    seconds = durations.seconds(COMMAND, "--duration", duration)
    return order.limits(count, seconds, durations.bytes(COMMAND, "--size", size), snaplen)


def _check(write: str, form: views.Output) -> None:
    if write == STDOUT and sys.stdout.isatty():
        rule = "is a terminal, and packets are no text"
        hint = "pipe it into tcpdump -r - or wireshark -k -i -"
        raise errors.InvalidInput(COMMAND, "--write", write, rule, hint=hint)
    if form is not views.Output.text and write in ("", STDOUT):
        rule = f"needs --write FILE beside --output {form}"
        raise errors.InvalidInput(COMMAND, "--write", write or None, rule)


async def _chosen(
    cluster: clusters.Cluster, named: choice.Target, nic: str, network: str, system: str
) -> tuple[choice.Nic, agentpods.AgentPods | None]:
    async with cluster.client() as api:
        chosen = choice.choose(named, nic, network, await _found(api, named))
        if cluster.lab is not None:
            return chosen, None
        options = ("--context", cluster.context) if cluster.context else ()
        pods = await objects.listed(api, resources.PODS, namespace=system)
        return chosen, agentpods.AgentPods(pods, options, cluster.kubeconfig, system)


async def _found(api: Client, named: choice.Target) -> choice.Found:
    """The objects of one namespace; NADs of others, as far as the user may read them."""
    namespace = named.key.namespace
    pods, instances, vms, (nads, _) = await asyncio.gather(
        objects.listed(api, resources.PODS, namespace=namespace),
        objects.listed(api, resources.VMIS, namespace=namespace),
        objects.listed(api, resources.VMS, namespace=namespace),
        objects.list_allowed(api, resources.NADS, (namespace,)),
    )
    networks = members.networks(members.Objects(nads=nads))
    return choice.Found(pods, instances, vms, networks)


@contextlib.contextmanager
def _command(
    cluster: clusters.Cluster, node: str, agents: agentpods.AgentPods | None
) -> Iterator[process.Command]:
    if agents is not None:
        yield agents.command(node, MODULE)
        return
    known = labs.needed("a lab", otherwise="set KUBECONFIG")
    with known.command(cluster.lab or "", node, MODULE) as found:
        yield found


@contextlib.contextmanager
def _sink(write: str) -> Iterator[BinaryIO]:
    """Where packets go: a file for its user alone, a pipe, or standard output."""
    if write in ("", STDOUT):
        yield sys.stdout.buffer
        return
    try:
        descriptor = _opened(write)
    except OSError as error:
        raise errors.Unavailable(f"cannot be written ({error.strerror})", where=write) from error
    with os.fdopen(descriptor, "wb") as file:
        yield file


def _opened(write: str) -> int:
    """The file's descriptor. Raise Unavailable for a link and for another user's file, in which
    packets would be read by others; OSError for what cannot be opened."""
    if _SHELLS.fullmatch(write):
        return os.open(write, os.O_WRONLY)
    if os.path.islink(write):
        hint = "name the file itself"
        raise errors.Unavailable("is a link, which is not followed", where=write, hint=hint)
    descriptor = os.open(write, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode):
        if found.st_uid != os.geteuid():
            os.close(descriptor)
            what = "is another user's file, who could read the packets"
            raise errors.Unavailable(what, where=write, hint="name a file of your own")
        os.fchmod(descriptor, 0o600)
    return descriptor


@dataclass
class _Taker:
    """Takes blocks as a file, or as lines. `begun`: what to say when the capture has begun.

    A file that is there already keeps its contents until then.
    """

    sink: BinaryIO
    is_lines: bool
    begun: str
    _is_first: bool = True

    def take(self, blocks: Sequence[tuple[pcapng.Block | None, bytes]]) -> None:
        if self._is_first:
            self._is_first = False
            if self.sink is not sys.stdout.buffer and stat.S_ISREG(os.fstat(self.sink.fileno())[0]):
                os.ftruncate(self.sink.fileno(), 0)
            if self.begun:
                typer.echo(self.begun, err=True)
        if self.is_lines:
            each = (lines.line(one) for one, _ in blocks if isinstance(one, pcapng.Packet))
            self.sink.write("".join(f"{one}\n" for one in each).encode())
        else:
            self.sink.write(b"".join(data for _, data in blocks))
        self.sink.flush()


async def _captured(there: process.Command, asked: order.Order, taker: _Taker) -> session.Outcome:
    enough, loop = asyncio.Event(), asyncio.get_running_loop()

    def end(number: int) -> None:
        """The first signal ends the capture, the second this program."""
        enough.set()
        loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, end, number)
    is_read = functools.partial(_is_read, taker.sink.fileno())
    return await session.run(there, asked, taker.take, enough=enough, is_read=is_read)


def _is_read(descriptor: int) -> bool:
    """Whether a pipe still has a reader."""
    poll = select.poll()
    poll.register(descriptor, 0)
    return not any(events & select.POLLERR for _, events in poll.poll(0))


def _located(cluster: clusters.Cluster, named: choice.Target, found: _Result) -> _Result:
    """The result of a NIC that is gone, with where it is now."""
    end = found.outcome.statistics
    if end is None or end.reason != onnode.GONE:
        return found
    return replace(found, now=asyncio.run(_now(cluster, named, found.nic)))


async def _now(cluster: clusters.Cluster, named: choice.Target, chosen: choice.Nic) -> str:
    """Where a NIC is that has gone, in a sentence."""
    try:
        async with cluster.client() as api:
            found = await _found(api, named)
        again = choice.choose(named, chosen.interface, "", found)
    except errors.WeftError:
        return f"{chosen.owner} does not run any more"
    if again.pod == chosen.pod:
        return f"{chosen.owner} has it no more, or is about to end"
    return f"{chosen.owner} is on {again.node} now: run the command again"


@dataclass(frozen=True, slots=True)
class _Result:
    nic: choice.Nic
    outcome: session.Outcome
    file: str
    now: str = ""


def written(found: _Result) -> Iterator[str]:
    """What was captured, and what was not."""
    outcome = found.outcome
    file = f" in {found.file}" if found.file not in ("", STDOUT) else ""
    end = outcome.statistics
    if end is None:
        yield f"{outcome.packets} packets{file}"
        return
    seconds = max(end.end - end.start, 0) / 1e9
    reason = "".join(each for each in end.reason if each.isprintable())
    yield f"{outcome.packets} packets{file} in {seconds:.1f} s; it ended because {reason}"
    yield f"{end.dropped} packets dropped by the kernel" + (
        ": narrow it with --filter or --snaplen" if end.dropped else ""
    )
    if found.now:
        yield found.now


def data(found: _Result) -> dict[str, Any]:
    """The outcome for scripts."""
    end = found.outcome.statistics
    return {
        "nic": {**asdict(found.nic), "pod": str(found.nic.pod)},
        "file": found.file,
        "packets": found.outcome.packets,
        "bytes": found.outcome.bytes,
        "received": end.received if end else None,
        "dropped": end.dropped if end else None,
        "reason": end.reason if end else None,
        "trouble": found.outcome.trouble or None,
        "now": found.now or None,
    }
