"""Runs a pod's containers and holds its namespaces, also while no kubelet runs.

    python3 -I -S -E init.py FOLDER HOSTNAME [--on-host]

It serves the socket FOLDER/init.sock. Messages are JSON, one a line. It takes `start`, `kill`,
`enter`, `attach`, `exec` and `stop`. On connection, and after every change, it sends `state`: the
state of all containers. It answers `enter` with the limits of a container, and `attach` with what
that reads (`consoles.py`), and ends the pod on `stop`. `exec` runs a command as long as its
connection lasts (`execs.py`). With `--on-host` the pod stays in its node's network namespace.

It is a process of the node that the pod cannot see. Its child is the process 1 of the pod, which
holds the namespaces and collects orphans; both end together. The program uses the standard library
alone, so that a pod costs little memory.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import resource
import select
import signal
import socket
import stat
import sys
import time
import warnings  # noqa: F401  os.execvpe imports it, when the pod's root has no library any more
from collections.abc import Mapping, Sequence
from typing import Any

if __name__ == "__main__":  # started as a file, with no path to packages
    sys.path.insert(0, os.path.abspath(__file__).rsplit("/weft_lab/", 1)[0])

from weft_lab.kubelet import consoles, execs, initlink, isolation, rootfs, syscalls

PREVIOUS = ".previous"
READY = b"ready"
LIMITS = ("env", "cwd", "uid", "gid", "groups", "capabilities", "no_new_privs", "longest_file")
LONGEST_NAME = 256  # characters of a program's name in a message
MAX_PROCESSES = 4096  # of a pod, threads among them

Json = dict[str, Any]


def open_log(path: str) -> int:
    """Open a container's log for a new run; the log of the run before is renamed."""
    with contextlib.suppress(FileNotFoundError):
        os.rename(path, path + PREVIOUS)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def _why(error: BaseException) -> str:
    """The error's text, in a shell's words; a long name is cut."""
    if isinstance(error, OSError) and error.filename:
        return f"{os.fsdecode(error.filename)[:LONGEST_NAME]}: {error.strerror}"
    return str(error)[:LONGEST_NAME]


def become(
    request: Json, log: int, namespaces: dict[str, int], given: int = -1, link: Any = None
) -> None:
    """Turn this forked process into the container's first process; return only by raising.

    `given` is its standard input, if it has one; a terminal's near end is sent on `link`.
    """
    os.setsid()
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    given = given if given >= 0 else os.open("/dev/null", os.O_RDONLY)
    for source, target in ((given, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    open_files(request.get("files") or ())
    # The pod's other containers must not inspect it before it is confined.
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
    rootfs.stage(request)
    isolation.join(namespaces)
    bound(request)
    rootfs.build(request)
    if request.get("tty"):
        consoles.take_terminal(consoles.make_terminal(link, request))
    isolation.confine(request)
    os.chdir(request.get("cwd") or "/")
    env = {str(key): str(value) for key, value in request["env"].items()}
    os.execvpe(request["argv"][0], request["argv"], env)


def bound(request: Mapping[str, Any]) -> None:
    """Limit the pod's processes and the size of a file; nobody in a pod can raise the limits."""
    limits = {resource.RLIMIT_NPROC: MAX_PROCESSES}
    if request.get("longest_file"):
        limits[resource.RLIMIT_FSIZE] = request["longest_file"]
    for kind, most in limits.items():
        allowed = resource.getrlimit(kind)[1]
        most = most if allowed == resource.RLIM_INFINITY else min(most, allowed)
        resource.setrlimit(kind, (most, most))


def open_files(files: Sequence[Json]) -> None:
    """Open the files that the container gets as descriptors.

    Each must be a regular file below its folder; OSError otherwise.
    """
    for file in files:
        flags = (os.O_RDWR if file["write"] else os.O_RDONLY) | os.O_CLOEXEC | os.O_NONBLOCK
        folder = os.open(file["folder"], os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        opened = syscalls.open_beneath(folder, file["path"], flags)
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            raise OSError(errno.EINVAL, "is not a regular file", file["path"])
        os.dup2(opened, file["descriptor"])


class Init:
    """The containers of one pod, and the kubelets that are connected."""

    def __init__(
        self, folder: str, first: int = 0, namespaces: dict[str, int] | None = None
    ) -> None:
        self.folder = folder
        self.first = first
        self.namespaces = namespaces or {}
        self.containers: dict[str, Json] = {}
        self.limits: dict[str, Json] = {}
        self.names: dict[int, str] = {}
        self.links: dict[int, initlink.Link] = {}
        self.commands = execs.Commands()
        self.poll = select.poll()
        self.consoles = consoles.Consoles(self.poll)

    def serve(self, door: socket.socket) -> None:
        wake, ring = socket.socketpair()
        for end in (wake, ring):
            end.setblocking(False)
        signal.set_wakeup_fd(ring.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for end in (wake, door):
            self.poll.register(end, select.POLLIN)
        while True:
            for descriptor, _ in self.poll.poll():
                if descriptor == wake.fileno():
                    wake.recv(4096)
                    self.reap()
                elif descriptor == door.fileno():
                    self.greet(door.accept()[0])
                elif not self.consoles.copy(descriptor):
                    self.flush(descriptor)
                    self.receive(descriptor)

    def greet(self, link: socket.socket) -> None:
        self.links[link.fileno()] = initlink.Link(link)
        self.poll.register(link, select.POLLIN)
        self.report([link])

    def receive(self, descriptor: int) -> None:
        link = self.links.get(descriptor)
        if link is None:
            return  # dropped after poll() reported it
        try:
            data = link.receive(1 << 20)
        except BlockingIOError:
            return  # a new connection with the descriptor of a dropped one
        except OSError:
            data = b""
        if not data:
            self.drop(descriptor)
            return
        for line in link.lines(data):
            self.obey(json.loads(line), link.connection)

    def drop(self, descriptor: int) -> None:
        self.poll.unregister(descriptor)
        link = self.links.pop(descriptor)
        self.commands.closed(link.connection)
        link.close()

    def execute(self, request: Json, link: socket.socket) -> None:
        """Run a command in a container that runs; the connection is its own from here on."""
        name = request["name"]
        leader = next((pid for pid, called in self.names.items() if called == name), 0)
        own = self.links[link.fileno()]
        own.is_exec, files, own.files = True, own.files, []
        place = execs.Place(name, leader, self.namespaces, self.limits.get(name, {}), bound)
        if why := self.commands.start(request, files, link, place):
            self.say([link], {"error": why, "exited": None})
        for file in files:
            os.close(file)

    def obey(self, request: Json, link: socket.socket | None = None) -> None:
        match request["op"]:
            case "enter" if link is not None:
                self.say([link], {"limits": self.limits.get(request["name"])})
            case "attach" if link is not None:
                self.say([link], *self.consoles.attach(request["name"]))
            case "exec" if link is not None:
                self.execute(request, link)
            case "start":
                self.start(request)
            case "kill":
                self.kill(request["name"], request["signal"])
            case "stop":
                # With process 1 the kernel kills all processes of the namespace.
                os.kill(self.first, signal.SIGKILL)
                # Process 1 can be collected only after all others.
                while os.waitpid(-1, 0)[0] != self.first:
                    pass
                os._exit(0)

    def start(self, request: Json) -> None:
        name = request["name"]
        known = self.containers.get(name)
        if known is not None and known.get("status") is None:
            return self.report()
        state: Json = {"attempt": request["attempt"], "started": time.time(), "status": None}
        self.containers[name] = state
        self.limits[name] = {key: request[key] for key in LIMITS if key in request}
        try:
            pid, inside, why = self.launch(request)
        except OSError as error:
            # Nothing was forked, for example for lack of a log file. Other containers go on.
            state |= {"status": 126, "ended": time.time(), "error": str(error)}
            return self.report()
        if why:
            state["error"] = f"{request['argv'][0][:LONGEST_NAME]}: {why}"
        state["pid"] = inside
        self.names[pid] = name
        return self.report()

    def launch(self, request: Json) -> tuple[int, int, str]:
        """Start a container: its process id here, the one in the pod, and the error, if any."""
        log = open_log(request["log"])
        ours, theirs = socket.socketpair()
        has_pipe = request.get("stdin") and not request.get("tty")
        given, feed = os.pipe2(os.O_CLOEXEC) if has_pipe else (-1, -1)
        pid = os.fork()
        if pid == 0:
            try:
                theirs.sendall(f"{os.getpid()}\n".encode())
                become(request, log, self.namespaces, given, theirs)
            except BaseException as error:
                missing = getattr(error, "errno", 0) == errno.ENOENT
                theirs.sendall(_why(error).encode())
                os._exit(127 if missing else 126)
        theirs.close()
        with ours:
            message, screen = consoles.collect(ours)
        inside, _, why = message.partition("\n")
        self.consoles.add(request["name"], request, max(feed, screen), log if screen >= 0 else -1)
        for unused in [given] * (given >= 0) + [log] * (screen < 0):
            os.close(unused)
        return pid, int(inside), why

    def kill(self, name: str, number: int) -> None:
        state = self.containers.get(name)
        if state is None or state.get("status") is not None:
            return
        leader = next((pid for pid, called in self.names.items() if called == name), 0)
        if leader and number == signal.SIGKILL:
            execs.kill_session(leader)
        elif leader:
            with contextlib.suppress(ProcessLookupError):
                os.kill(leader, number)

    def reap(self) -> None:
        changed = False
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if pid == self.first:
                os._exit(0)  # the pod has ended
            if link := self.commands.ended(pid):
                self.say([link], {"exited": os.waitstatus_to_exitcode(status)})
            name = self.names.pop(pid, "")
            if name:
                code = os.waitstatus_to_exitcode(status)
                self.containers[name] |= {"status": code, "ended": time.time()}
                self.commands.end(name)
                self.consoles.end(name)
                changed = True
        if changed:
            self.report()

    def report(self, links: list[socket.socket] | None = None) -> None:
        listening = [one.connection for one in self.links.values() if not one.is_exec]
        self.say(links or listening, {"state": self.containers})

    def say(self, links: Sequence[socket.socket], message: Json, given: int = -1) -> None:
        line = json.dumps(message).encode() + b"\n"
        for descriptor in [link.fileno() for link in links]:
            if descriptor in self.links:
                self.links[descriptor].put(line, is_state="state" in message, given=given)
                self.flush(descriptor)

    def flush(self, descriptor: int) -> None:
        """Send what a link takes; poll() tells when it takes the rest."""
        try:
            if link := self.links.get(descriptor):
                self.poll.modify(descriptor, select.POLLIN | (select.POLLOUT * link.flush()))
        except OSError:
            self.drop(descriptor)


def hold(hostname: str, door: socket.socket, go: int, ready: int) -> None:
    """Be process 1 of the pod: hold its namespaces and collect orphans; never return."""
    os.read(go, 1)  # until the parent has mapped the users
    isolation.become_root()
    door.listen(4)  # SO_PEERCRED then names this process to clients
    isolation.name(hostname)
    rootfs.empty()
    isolation.confine({})
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for descriptor in (1, 2):
        os.dup2(0, descriptor)
    os.write(ready, READY)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    while True:
        signal.pause()


def make_pod(folder: str, hostname: str, *, on_host: bool) -> tuple[Init, socket.socket]:
    """Make the pod's namespaces and process 1, and the socket that serves requests.

    Raise OSError with a remedy where the kernel refuses user namespaces.
    """
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    made = f"{folder}/.init.sock"
    door.bind(made)
    os.chmod(made, 0o600)
    flags = syscalls.NEWUSER | syscalls.NEWNS | syscalls.NEWPID | syscalls.NEWUTS | syscalls.NEWIPC
    held, go = os.pipe2(os.O_CLOEXEC)
    outcome, ready = os.pipe2(os.O_CLOEXEC)
    try:
        first = syscalls.clone(flags if on_host else flags | syscalls.NEWNET)
    except OSError as error:
        remedy = "pods need user namespaces: sysctl -w user.max_user_namespaces=10000"
        raise OSError(error.errno, f"{error.strerror} ({remedy})") from error
    if first == 0:
        os.close(go)
        try:
            hold(hostname, door, held, ready)
        except BaseException as error:
            os.write(ready, str(error).encode())
            os._exit(1)
    for descriptor in (held, ready):
        os.close(descriptor)
    isolation.map_users(first)
    os.write(go, b"1")
    os.close(go)
    with open(outcome, "rb") as pipe:
        answer = pipe.read()
    if answer != READY:
        raise OSError(f"process 1: {answer.decode(errors='replace') or 'ended at once'}")
    os.rename(made, f"{folder}/init.sock")  # under this name it is always ready
    namespaces = isolation.open_namespaces(first)
    if on_host:
        os.close(namespaces.pop("net"))
    # Every process that is forked from here on is in the pod's PID namespace.
    with open(f"/proc/{first}/ns/pid", "rb") as space:
        syscalls.setns(space.fileno(), syscalls.NEWPID)
    return Init(folder, first, namespaces), door


def main(folder: str, hostname: str, *options: str) -> int:
    """Make a pod, leave its owner running, and print the process id of process 1."""
    os.umask(0o022)
    # Files that the kubelet has open must not stay open for the pod's life.
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    reader, writer = os.pipe2(os.O_CLOEXEC)
    if os.fork() == 0:
        try:
            os.setsid()
            syscalls.prctl(syscalls.PR_SET_NAME, b"weft-pod\0")
            null = os.open("/dev/null", os.O_RDWR)
            for descriptor in (0, 1):
                os.dup2(null, descriptor)
            init, door = make_pod(folder, hostname, on_host="--on-host" in options)
            os.dup2(null, 2)
            os.write(writer, f"{init.first}\n".encode())
            os.close(writer)
            init.serve(door)
        except BaseException as error:
            sys.stderr.write(f"pod's first process: {error}\n")
            sys.stderr.flush()
            os._exit(1)
    os.close(writer)
    with open(reader, "rb") as pipe:
        answer = pipe.read()
    sys.stdout.write(answer.decode())
    sys.stdout.flush()
    return 0 if answer else 1


if __name__ == "__main__":
    os._exit(main(*sys.argv[1:]))
