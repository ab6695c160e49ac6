"""Unpacks the root file system of a node: Debian with containerd and runc, and no Python.

It comes by the same way as the lab's programs; etcd and Prometheus come along for the
machine of the control plane.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
from pathlib import Path

from weft_lab.runtime import cache, debian

# The first suite with containerd 2, which kubelet 1.36 asks for.
SUITE = os.environ.get("WEFT_CLUSTER_SUITE", "forky")
PACKAGES = (
    *("base-files", "bash", "busybox-static", "coreutils", "dash", "findutils", "grep", "sed"),
    *("mount", "util-linux", "procps", "iproute2", "nftables", "iptables"),
    *("containerd", "runc", "etcd-server", "prometheus"),
)
LAYOUT = 4  # raise when what is made of the packages changes
# What only an installation needs.
LEFT_OUT = re.compile(
    r"^(perl|systemd$|init-system|debconf|adduser|promtool|tzdata|libperl|gcc-\d+-base)"
)

_PASSWD = "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n"
_GROUP = "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n"


def ensure() -> Path:
    """The folder with the tree, fetched if it is not there yet. Raises Unavailable."""
    made_of = repr((LAYOUT, SUITE, PACKAGES, LEFT_OUT.pattern))
    folder = cache.folder() / f"cluster-node-{hashlib.sha256(made_of.encode()).hexdigest()[:12]}"
    if not folder.is_dir():
        with cache.lock(cache.folder() / "cluster-node.lock"):
            if not folder.is_dir():
                _fetch(folder)
    return folder


def _fetch(folder: Path) -> None:
    print(f"fetching Debian's {SUITE} for the nodes; kept in {folder}", file=sys.stderr, flush=True)
    growing, state = folder.with_suffix(".part"), folder.with_suffix(".apt")
    shutil.rmtree(growing, ignore_errors=True)
    apt = debian.Apt(state, SUITE)
    apt.prepare()
    archives = apt.resolve(PACKAGES, without=LEFT_OUT)
    cache.require_space(cache.folder(), 6 * sum(archive.size for archive in archives))
    debian.unpack(apt.fetch(archives), growing)
    _finish(growing)
    shutil.rmtree(state)
    growing.rename(folder)


def _finish(root: Path) -> None:
    """What the packages' scripts would have done."""
    (root / "etc/passwd").write_text(_PASSWD)
    (root / "etc/group").write_text(_GROUP)
    (root / "etc/nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files dns\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")
    (root / "etc/machine-id").write_text("0" * 31 + "1\n")
    (root / "root").mkdir(exist_ok=True)
    for name in ("run", "lock"):
        link = root / "var" / name
        if link.is_dir() and not link.is_symlink():
            shutil.rmtree(link)
        link.unlink(missing_ok=True)
        link.symlink_to("/run" if name == "run" else "/run/lock")
    for name in ("iptables", "iptables-save", "iptables-restore"):
        for family in ("", "6"):
            link = root / "usr/sbin" / name.replace("ip", f"ip{family}", 1)
            link.unlink(missing_ok=True)
            link.symlink_to("xtables-nft-multi")
    for folder in ("opt/cni/bin", "etc/cni/net.d", "var/lib/containerd", "var/lib/kubelet"):
        (root / folder).mkdir(parents=True, exist_ok=True)
