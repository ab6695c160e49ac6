"""Defines what a page of the console is: what it reads, and a pure function to what it shows.

To add a page, write `pages/NAME.py` with a constant `PAGE`, the template `pages/NAME.html`, and a
line in `pages/__init__.py`. The template shows `view`, the value that `PAGE.view` returned. It is
sent again whenever an object that the page reads changes, and morphed into the page: what must stay
as the viewer left it has an id and `hx-preserve`. In templates:

    link("networks", name, about=x)   a path, in the viewer's namespace
    action("stop")                    where a form of the page is posted to; it needs form_token:
                                      {{ parts.form(action("stop"), form_token, "Stop") }}
    job("trace", to=x)                where a job streams to: hx-ext="sse" sse-connect=... with
                                      sse-swap="line" hx-swap="beforeend" sse-close="end"
    socket("serial")                  where a script of the page connects a WebSocket

The middleware check Host, Origin, session and form token before any of these runs.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from aiohttp import web

from weft import errors
from weft.console.computing import Computing
from weft.kube.client import Client
from weft.kube.resources import Resource
from weft.observe.explain.collect import Explorer
from weft.observe.flows.collect import Way
from weft.observe.members import Objects
from weft.observe.reach import Matrix
from weft.observe.remembered import Memo
from weft.observe.snapshot import Snapshot
from weft.policy import netpolicy

Object = Mapping[str, Any]


class NoSuchObject(errors.WeftError):
    """The page is about an object that does not exist, or that the viewer may not see."""


@dataclass(frozen=True, slots=True)
class Read:
    """A kind that a page reads, from the namespace that was asked for or from all.

    `field_selector` as in kubectl. `is_aside`: the page does not say so if it cannot be read.
    """

    kind: Resource
    field_selector: str = ""
    is_aside: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """What a viewer asked for: names in the path, the query, and the time (RFC 3339, UTC).

    `namespace`: the one that all namespaced kinds are read from; empty for all.
    """

    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    namespace: str = ""
    now: str = ""

    @property
    def today(self) -> str:
        return self.now[: len("YYYY-MM-DD")]


@dataclass(frozen=True, slots=True)
class Reading:
    """The objects that a page reads, by kind.

    `denied`: why the viewer may not list a kind, in the server's words. `absent`: kinds that the
    cluster does not have. `stale`: why a kind may be out of date. Each has no objects or old ones.
    `left_out`: how many objects of a kind are not there, because the viewer's are too many.
    `versions`: equal numbers stand for equal objects. `memo`: what the page made the last time.
    """

    objects: Mapping[Resource, Sequence[Object]] = field(default_factory=dict)
    denied: Mapping[Resource, str] = field(default_factory=dict)
    absent: frozenset[Resource] = frozenset()
    stale: Mapping[Resource, str] = field(default_factory=dict)
    left_out: Mapping[Resource, int] = field(default_factory=dict)
    versions: tuple[int, ...] = ()
    memo: Memo = field(default_factory=Memo, compare=False, repr=False)

    def of(self, kind: Resource) -> Sequence[Object]:
        """All objects of a kind, in the order of their keys; none if it cannot be read."""
        return self.objects.get(kind, ())

    def knows(self, kind: Resource) -> bool:
        """Whether the viewer may list the kind, or there is none."""
        return kind not in self.denied

    def has_all(self, kind: Resource) -> bool:
        """Whether what is not among the kind's objects does not exist."""
        return kind in self.absent or not self.lack(kind)

    def lack(self, kind: Resource) -> str:
        """Why objects of the kind may be missing; "" if none are."""
        number = self.left_out.get(kind, 0)
        left_out = f"{number} of the kind {kind.kind} are left out" if number else ""
        return self.denied.get(kind) or self.stale.get(kind) or left_out


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an action did, in one sentence. `to`: the path of the page to show next. `result` is
    shown by the page's template, as `result`."""

    sentence: str
    to: str = ""
    failed: bool = False
    result: object = None


class Nodes(Protocol):
    """Looks at the cluster's nodes, beyond what the Kubernetes API has."""

    def explorer(
        self, pods: Sequence[Object], *, probes: bool
    ) -> AbstractAsyncContextManager[Explorer]:
        """What looks at nodes; `pods` are those that the viewer may list. `probes`: whether packets
        are sent on a cluster, too."""

    async def way(self, found: Objects) -> Way:
        """How modules of weft are run on nodes. Raises Unavailable."""

    async def snapshots(self) -> tuple[Snapshot, ...]:
        """The rows of all zones. Raises Unavailable."""

    async def measure(
        self, network: str, connection: netpolicy.Connection, *, ipv6: bool
    ) -> Matrix:
        """Who reaches whom, by packets. Raises Unavailable."""


@dataclass(frozen=True, slots=True)
class Access:
    """What an action may use: the API with the viewer's credentials. `computing`: the viewer's turn
    for what takes long."""

    client: Client
    computing: Computing = field(default_factory=Computing)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobAccess(Access):
    """What a job may use: nodes, too, as far as the viewer may look at them."""

    nodes: Nodes


View = Callable[[Reading, Question], object]
# Writes with the viewer's credentials alone; WeftErrors become a sentence on the page.
Action = Callable[[Access, Question, Mapping[str, str]], Awaitable[Outcome]]
# Yields what `pages/NAME.JOB.html` shows as `line`, until it ends; closed if the viewer leaves.
Job = Callable[[JobAccess, Question], AsyncGenerator[object, None]]
# Talks to a browser until one side ends it: a serial console, a screen.
Talk = Callable[[Client, Question, web.WebSocketResponse], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Page:
    """A page at `path`, such as "/networks/{name}"; `name` names its template.

    `title` stands in the navigation, unless it is empty; `under` is the page that the navigation
    marks for a page without a title. `heading` may name a path variable, "Network {name}", or be a
    function of what was asked.

    `reads` are followed while somebody looks at the page. `actions`: forms, posted to PATH/-/NAME.
    `jobs`: slow work, streamed from /live/PATH/-/NAME. `sockets`: /socket/PATH/-/NAME.
    `scripts` and `styles`: below static/ or libraries/, such as "static/terminal.js"; scripts are
    modules. `libraries`: files without which the page cannot do what it is for. `inline_styles`: a
    script makes style sheets, as xterm.js does. `is_live`: what changes is sent to the page while
    it is open, which then forgets what somebody has typed into it.
    `is_timeless`: `view` depends on objects alone, not on the time; it is remembered.
    """

    name: str
    path: str
    reads: tuple[Read, ...]
    view: View
    title: str = ""
    heading: str | Callable[[Question], str] = ""
    under: str = ""
    actions: Mapping[str, Action] = field(default_factory=dict)
    jobs: Mapping[str, Job] = field(default_factory=dict)
    sockets: Mapping[str, Talk] = field(default_factory=dict)
    scripts: tuple[str, ...] = ()
    styles: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    inline_styles: bool = False
    is_live: bool = True
    is_timeless: bool = False

    def titled(self, asked: Question) -> str:
        """The heading for what was asked."""
        if callable(self.heading):
            return self.heading(asked)
        return (self.heading or self.title).format(**asked.path)
