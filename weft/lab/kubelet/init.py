"""Process 1 of a pod: holds the pod's namespaces, starts its containers and outlives the kubelet.

    python3 -I -S -E init.py FOLDER HOSTNAME [--on-host]

The question answered here: who owns a pod's processes while no kubelet runs? This does: a kubelet
that comes back connects to FOLDER/init.sock and is told everything that happened. Messages are
JSON, one a line: `start` and `kill` come in, `state` (all containers, whole) goes out, at once
and after every change. With `--on-host` the pod stays in its node's network namespace. This is a
program of its own, with the standard library alone, so that a pod costs one small process; when
its last connection says `stop` it ends, and with it the pod.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import select
import signal
import socket
import sys
import time
import warnings  # noqa: F401  os.execvpe imports it, when the pod's root has no library any more
from typing import Any

NEWNS, NEWUTS, NEWIPC, NEWPID, NEWNET = 0x20000, 0x4000000, 0x8000000, 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND = 1, 2, 4, 8, 4096
MS_REC, MS_SLAVE = 16384, 1 << 19
PR_SET_NAME = 15
PREVIOUS = ".previous"

Json = dict[str, Any]
libc = ctypes.CDLL(None, use_errno=True)


def check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    fields = [text.encode() or None for text in (source, target, kind)]
    check(libc.mount(*fields, flags, data.encode() or None), f"mount {source} on {target}")


def build_root(root: str, image: str, etc: dict[str, str]) -> None:
    """A small writable root in a tmpfs around the image's programs, and make it this process's."""
    os.makedirs(root, exist_ok=True)
    mount("tmpfs", root, "tmpfs", MS_NOSUID, "mode=0755")
    for name in ("bin", "dev", "etc", "proc", "root", "run", "sys", "tmp", "var", "home"):
        os.mkdir(f"{root}/{name}")
    os.chmod(f"{root}/tmp", 0o1777)
    for name in ("sbin", "usr"):
        os.symlink("bin" if name == "sbin" else ".", f"{root}/{name}")
    mount(f"{image}/bin", f"{root}/bin", "", MS_BIND)
    mount("/dev", f"{root}/dev", "", MS_BIND | MS_REC)
    mount("/proc", f"{root}/proc", "", MS_BIND | MS_REC)
    mount("/sys", f"{root}/sys", "", MS_BIND | MS_REC)
    for name, text in etc.items():
        with open(f"{root}/etc/{name}", "w") as file:
            file.write(text)
    os.chroot(root)
    os.chdir("/")


def open_log(path: str) -> int:
    """A container's log for one run of it; that of the run before is kept beside it."""
    with contextlib.suppress(FileNotFoundError):
        os.rename(path, path + PREVIOUS)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def _why(error: BaseException) -> str:
    """As a shell would say it."""
    if isinstance(error, OSError) and error.filename:
        return f"{os.fsdecode(error.filename)}: {error.strerror}"
    return str(error)


def become(order: Json, log: int) -> None:
    """Turn this forked process into the container's; returns only by raising."""
    os.setsid()
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    nothing = os.open("/dev/null", os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    if order.get("image"):
        check(libc.unshare(NEWNS), "unshare")
        build_root(order["root"], order["image"], order.get("etc") or {})
    os.chdir(order.get("cwd") or "/")
    env = {str(key): str(value) for key, value in order["env"].items()}
    os.execvpe(order["argv"][0], order["argv"], env)


class Init:
    """The containers of one pod and who is connected."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.containers: dict[str, Json] = {}
        self.names: dict[int, str] = {}
        self.links: dict[int, socket.socket] = {}
        self.buffers: dict[int, bytes] = {}
        self.poll = select.poll()

    def listen(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        sock.bind(f"{self.folder}/init.sock")
        os.chmod(f"{self.folder}/init.sock", 0o600)
        sock.listen(4)
        return sock

    def serve(self, door: socket.socket) -> None:
        wake, ring = socket.socketpair()
        for end in (wake, ring):
            end.setblocking(False)
        signal.set_wakeup_fd(ring.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        # A process 1 is deaf to signals of its own namespace unless it listens; the kubelet
        # says `stop`, and whoever ends the lab kills.
        for end in (wake, door):
            self.poll.register(end, select.POLLIN)
        while True:
            for descriptor, _ in self.poll.poll():
                if descriptor == wake.fileno():
                    wake.recv(4096)
                    self.reap()
                elif descriptor == door.fileno():
                    self.greet(door.accept()[0])
                else:
                    self.hear(descriptor)

    def greet(self, link: socket.socket) -> None:
        self.links[link.fileno()] = link
        self.buffers[link.fileno()] = b""
        self.poll.register(link, select.POLLIN)
        self.tell([link])

    def hear(self, descriptor: int) -> None:
        link = self.links.get(descriptor)
        if link is None:
            return  # dropped since it was said to be ready
        try:
            data = link.recv(1 << 20, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return  # its number was that of one that was dropped
        except OSError:
            data = b""
        if not data:
            self.drop(descriptor)
            return
        *lines, self.buffers[descriptor] = (self.buffers[descriptor] + data).split(b"\n")
        for line in lines:
            self.obey(json.loads(line))

    def drop(self, descriptor: int) -> None:
        self.poll.unregister(descriptor)
        del self.buffers[descriptor]
        self.links.pop(descriptor).close()

    def obey(self, order: Json) -> None:
        match order["op"]:
            case "start":
                self.start(order)
            case "kill":
                self.kill(order["name"], order["signal"])
            case "stop":
                # The kernel kills all that is left of the namespace together with process 1.
                os._exit(0)

    def start(self, order: Json) -> None:
        name = order["name"]
        known = self.containers.get(name)
        if known is not None and known.get("status") is None:
            return self.tell()
        state: Json = {"attempt": order["attempt"], "started": time.time(), "status": None}
        self.containers[name] = state
        try:
            pid, why = self.launch(order)
        except OSError as error:
            # Nothing was forked: no file for its log, say. The pod's others go on.
            state |= {"status": 126, "ended": time.time(), "error": str(error)}
            return self.tell()
        if why:
            state["error"] = f"{order['argv'][0]}: {why}"
        state["pid"] = pid
        self.names[pid] = name
        return self.tell()

    def launch(self, order: Json) -> tuple[int, str]:
        """The container's process, and why it could not become what it was to be."""
        log = open_log(order["log"])
        reader, writer = os.pipe2(os.O_CLOEXEC)
        pid = os.fork()
        if pid == 0:
            try:
                become(order, log)
            except BaseException as error:
                missing = getattr(error, "errno", 0) == errno.ENOENT
                os.write(writer, _why(error).encode())
                os._exit(127 if missing else 126)
        os.close(writer)
        os.close(log)
        with open(reader, "rb") as pipe:
            return pid, pipe.read().decode(errors="replace")

    def kill(self, name: str, number: int) -> None:
        state = self.containers.get(name)
        if state is None or state.get("status") is not None or not state.get("pid"):
            return
        every = number == signal.SIGKILL
        for member in self.members(state["pid"]) if every else [state["pid"]]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(member, number)

    def members(self, leader: int) -> list[int]:
        """The container's first process and its whole session."""
        found = [leader]
        for entry in os.listdir("/proc"):
            if not entry.isdigit() or int(entry) in (1, leader):
                continue
            try:
                if os.getsid(int(entry)) == leader:
                    found.append(int(entry))
            except ProcessLookupError:
                continue
        return found

    def reap(self) -> None:
        changed = False
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            name = self.names.pop(pid, "")
            if name:
                code = os.waitstatus_to_exitcode(status)
                self.containers[name] |= {"status": code, "ended": time.time()}
                changed = True
        if changed:
            self.tell()

    def tell(self, links: list[socket.socket] | None = None) -> None:
        line = json.dumps({"state": self.containers}).encode() + b"\n"
        for link in links or list(self.links.values()):
            try:
                link.sendall(line)
            except OSError:
                self.drop(link.fileno())


def prepare(hostname: str) -> None:
    """In the new namespaces: the pod's own name, processes and devices."""
    mount("none", "/", "", MS_REC | MS_SLAVE)
    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    try:
        mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    except OSError:
        # Refused where parts of /sys are hidden: then the node's own stays in view.
        pass
    socket.sethostname(hostname)
    libc.prctl(PR_SET_NAME, b"pause", 0, 0, 0)


def main(folder: str, hostname: str, *options: str) -> int:
    """Make the namespaces, leave process 1 behind in them, and print its number."""
    os.umask(0o022)
    # Whatever the kubelet's process happened to have open would be held for the pod's life.
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    own = 0 if "--on-host" in options else NEWNET
    check(libc.unshare(own | NEWNS | NEWPID | NEWUTS | NEWIPC), "unshare")
    reader, writer = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            os.close(reader)
            prepare(hostname)
            init = Init(folder)
            door = init.listen()
            null = os.open("/dev/null", os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(null, descriptor)
            os.write(writer, b"ready")
            os.close(writer)
            init.serve(door)
        except BaseException as error:
            sys.stderr.write(f"pod's first process: {error}\n")
            sys.stderr.flush()
            os._exit(1)
    os.close(writer)
    with open(reader, "rb") as pipe:
        if pipe.read() != b"ready":
            os.waitpid(pid, 0)
            return 1
    sys.stdout.write(f"{pid}\n")
    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    os._exit(main(*sys.argv[1:]))
