"""Composes the paths of everything inside a lab, as its processes see them; pure.

The lab's own mount namespace has a private /run. Each node's /run is a folder of it, so that the
supervisor sees every node's sockets, and a node sees only its own, at a real node's paths.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from weft_lab.apiserver import logfiles

HOME = PurePosixPath("/run/lab")
# In the lab's own /run the user's, in each node's that of weft's agent.
KUBECONFIG = PurePosixPath("/run/weft/kubeconfig")
CNI_SOCKET = PurePosixPath("/run/weft/cni.sock")
CONTROLLERS_SOCKET = PurePosixPath("/run/weft/controllers.sock")  # their metrics, in the lab's own
KUBELET_SOCKET = PurePosixPath("/run/weft/kubelet.sock")  # for the API server: exec and the like
HANDLER_SOCKET = PurePosixPath("/run/weft/virt-handler.sock")  # for the same: machines' consoles
OVS_RUN = PurePosixPath("/run/openvswitch")
OVN_RUN = PurePosixPath("/run/ovn")
ACL_LOG = OVN_RUN / "acl.log"
CONSOLE_LOG = "console.log"  # the newest output of a guest, in its machine's folder
NODE_FOLDERS = ("openvswitch", "ovn", "weft", "netns", "lock")

NAMESPACES = ("net", "uts", "mnt")  # in the order in which they are entered


def kubeconfig(part: str) -> PurePosixPath:
    """That of a part of the lab, or of a node, other than weft's agent."""
    return KUBECONFIG.with_name(f"{part}.kubeconfig")


def node_run(node: str) -> PurePosixPath:
    """What `node` has at /run."""
    return HOME / node / "run"


def namespace(node: str, kind: str) -> PurePosixPath:
    """The file through which `node`'s namespace of `kind` is entered."""
    return HOME / node / "ns" / kind


def seen(node: str, path: PurePosixPath | str) -> PurePosixPath:
    """The path in the lab's own mount namespace of what `node` has at `path` below /run."""
    path = PurePosixPath(path)
    return node_run(node) / path.relative_to("/run") if node else path


def machine(namespace: str, name: str) -> str:
    """A virtual machine's folder, in the one of all machines of its node."""
    return logfiles.shortened(f"{namespace}_{name}")
