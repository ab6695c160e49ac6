"""Plans what runs on each machine and the files that it reads. Pure.

Files are given by their place on the machine; `folders` says which of those places lie in the
machine's folder outside, so that tests can read what is written there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from tests.cluster import credentials, spec

KUBERNETES = "/etc/kubernetes"
LOGS = "/var/log"
SANDBOX_IMAGE = "weft.test/busybox:1"
CONTAINERD_SOCKET = "unix:///run/containerd/containerd.sock"
MULTUS_ACCOUNT = "/run/secrets/kubernetes.io/serviceaccount"
PATH = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
SERVICE_ADDRESS = str(spec.SERVICES[1])

# By place on the machine: the folder below the machine's own, outside. They outlive restarts.
FOLDERS: Mapping[str, Mapping[str, str]] = {
    "control": {KUBERNETES: "kubernetes", LOGS: "log", "/var/lib/etcd": "etcd"},
    "node": {
        KUBERNETES: "kubernetes",
        LOGS: "log",
        "/etc/cni": "cni",
        "/etc/containerd": "containerd-config",
        "/opt/cni/bin": "cni-bin",
        "/var/lib/containerd": "containerd",
        "/var/lib/kubelet": "kubelet",
        MULTUS_ACCOUNT: "multus-account",
    },
}


@dataclass(frozen=True, slots=True)
class Service:
    """A program of one machine; `notifies`: it reports when it is ready, as with systemd."""

    name: str
    argv: tuple[str, ...]
    notifies: bool = True
    env: tuple[tuple[str, str], ...] = ()

    @property
    def log(self) -> str:
        return f"{LOGS}/{self.name}.log"


def folders(machine: str) -> Mapping[str, str]:
    return FOLDERS["control" if machine == spec.CONTROL else "node"]


def control(cluster: spec.Cluster) -> tuple[Service, ...]:
    """The control plane, in the order in which it starts."""
    return (
        Service("etcd", _etcd()),
        Service("kube-apiserver", _apiserver(cluster)),
        Service(
            "kube-controller-manager",
            (
                *("kube-controller-manager", f"--kubeconfig={KUBERNETES}/controller-manager.conf"),
                *("--leader-elect=false", "--use-service-account-credentials=true"),
                f"--service-account-private-key-file={KUBERNETES}/sa.key",
                f"--root-ca-file={KUBERNETES}/ca.crt",
                f"--cluster-signing-cert-file={KUBERNETES}/ca.crt",
                f"--cluster-signing-key-file={KUBERNETES}/ca.key",
            ),
            notifies=False,
        ),
        Service(
            "kube-scheduler",
            (
                *("kube-scheduler", f"--kubeconfig={KUBERNETES}/scheduler.conf"),
                "--leader-elect=false",
            ),
            notifies=False,
        ),
    )


def _etcd() -> tuple[str, ...]:
    client, peer = "http://127.0.0.1:2379", "http://127.0.0.1:2380"
    return (
        *("etcd", "--data-dir=/var/lib/etcd", "--unsafe-no-fsync"),
        *(f"--listen-client-urls={client}", f"--advertise-client-urls={client}"),
        *(f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}"),
        f"--initial-cluster=default={peer}",
    )


def _apiserver(cluster: spec.Cluster) -> tuple[str, ...]:
    return (
        "kube-apiserver",
        f"--advertise-address={cluster.control_address.ip}",
        f"--secure-port={spec.API_PORT}",
        "--etcd-servers=http://127.0.0.1:2379",
        f"--client-ca-file={KUBERNETES}/ca.crt",
        f"--tls-cert-file={KUBERNETES}/apiserver.crt",
        f"--tls-private-key-file={KUBERNETES}/apiserver.key",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={KUBERNETES}/sa.pub",
        f"--service-account-signing-key-file={KUBERNETES}/sa.key",
        f"--service-cluster-ip-range={spec.SERVICES}",
        f"--kubelet-client-certificate={KUBERNETES}/to-kubelet.crt",
        f"--kubelet-client-key={KUBERNETES}/to-kubelet.key",
        f"--kubelet-certificate-authority={KUBERNETES}/ca.crt",
        "--kubelet-preferred-address-types=InternalIP",
        "--allow-privileged=true",
        "--enable-aggregator-routing=true",  # webhooks are called without kube-proxy
        f"--audit-policy-file={KUBERNETES}/audit-policy.yaml",
        f"--audit-log-path={LOGS}/audit.log",
        "--profiling=false",
    )


def node(cluster: spec.Cluster, one: spec.Node) -> tuple[Service, ...]:
    """What runs on a node, in the order in which it starts."""
    multus = Service(
        "multus",
        ("/opt/cni/bin/multus-daemon", f"-config={KUBERNETES}/multus-daemon.json"),
        notifies=False,
        env=(
            ("KUBERNETES_SERVICE_HOST", str(cluster.control_address.ip)),
            ("KUBERNETES_SERVICE_PORT", str(spec.API_PORT)),
            ("MULTUS_NODE_NAME", one.name),
        ),
    )
    return (
        Service("containerd", ("containerd",)),
        Service(
            "kube-proxy", ("kube-proxy", f"--config={KUBERNETES}/kube-proxy.yaml"), notifies=False
        ),
        *([multus] if cluster.multus is spec.Multus.THICK else []),
        Service(
            "kubelet",
            (
                *("kubelet", f"--config={KUBERNETES}/kubelet.yaml"),
                *(f"--kubeconfig={KUBERNETES}/kubelet.conf", f"--node-ip={one.address.ip}"),
                f"--hostname-override={one.name}",
            ),
        ),
    )


def routes(cluster: spec.Cluster) -> dict[str, tuple[tuple[str, ...], ...]]:
    """Commands for each machine that lead to the primary network's pods of other machines.

    A node has a default route, too, or its own programs could not call a Service. It leads nowhere.
    """
    control = str(cluster.control_address.ip)
    return {
        machine: (
            *(
                ("ip", "route", "replace", str(node.pods), "via", str(node.address.ip))
                for node in cluster.members
                if node.name != machine
            ),
            *(
                [("ip", "route", "replace", "default", "via", control)]
                if machine != spec.CONTROL
                else []
            ),
        )
        for machine in cluster.machines
    }


def control_files(cluster: spec.Cluster, authority: credentials.Authority) -> dict[str, bytes]:
    names = [
        *("localhost", "127.0.0.1", str(cluster.control_address.ip), SERVICE_ADDRESS),
        *("kubernetes", "kubernetes.default", "kubernetes.default.svc"),
    ]
    server = authority.issue("kube-apiserver", names=names)
    to_kubelet = authority.issue("kube-apiserver-kubelet-client", ["system:masters"])
    tokens = credentials.signing_pair()
    return {
        f"{KUBERNETES}/ca.crt": authority.certificate,
        f"{KUBERNETES}/ca.key": authority.pair.key,
        f"{KUBERNETES}/apiserver.crt": server.certificate,
        f"{KUBERNETES}/apiserver.key": server.key,
        f"{KUBERNETES}/to-kubelet.crt": to_kubelet.certificate,
        f"{KUBERNETES}/to-kubelet.key": to_kubelet.key,
        f"{KUBERNETES}/sa.pub": tokens.certificate,
        f"{KUBERNETES}/sa.key": tokens.key,
        f"{KUBERNETES}/audit-policy.yaml": _json(AUDIT_POLICY),
        **{
            f"{KUBERNETES}/{name}.conf": authority.kubeconfig(
                cluster.api, f"system:kube-{name}"
            ).encode()
            for name in ("controller-manager", "scheduler")
        },
    }


AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}


def node_files(
    cluster: spec.Cluster, one: spec.Node, authority: credentials.Authority
) -> dict[str, bytes]:
    serving = authority.issue(f"system:node:{one.name}", ["system:nodes"], [str(one.address.ip)])
    kubelet = credentials.kubeconfig(cluster.api, authority.certificate, serving)
    return {
        f"{KUBERNETES}/ca.crt": authority.certificate,
        f"{KUBERNETES}/kubelet.crt": serving.certificate,
        f"{KUBERNETES}/kubelet.key": serving.key,
        f"{KUBERNETES}/kubelet.conf": kubelet.encode(),
        f"{KUBERNETES}/kubelet.yaml": _json(_kubelet()),
        f"{KUBERNETES}/kube-proxy.conf": authority.kubeconfig(
            cluster.api, "system:kube-proxy"
        ).encode(),
        f"{KUBERNETES}/kube-proxy.yaml": _json(_kube_proxy(one)),
        "/etc/containerd/config.toml": CONTAINERD.encode(),
        "/etc/cni/net.d/10-bridge.conflist": _json(_bridge(one)),
        **_multus_files(cluster, one, authority),
    }


def _multus_files(
    cluster: spec.Cluster, one: spec.Node, authority: credentials.Authority
) -> dict[str, bytes]:
    if cluster.multus is spec.Multus.THICK:
        return {f"{KUBERNETES}/multus-daemon.json": _json(MULTUS_DAEMON)}
    kubeconfig = "/etc/cni/net.d/multus.d/multus.kubeconfig"
    thin = {
        "cniVersion": CNI_VERSION,
        "name": "multus-cni-network",
        "type": "multus",
        "kubeconfig": kubeconfig,
        # Not as `clusterNetwork`: Multus 4.3.0 forgets the ranges of a file's list until DEL.
        "delegates": [_bridge(one)],
    }
    user = "system:serviceaccount:kube-system:multus"
    return {
        kubeconfig: authority.kubeconfig(cluster.api, user).encode(),
        "/etc/cni/net.d/00-multus.conf": _json(thin),
    }


CNI_VERSION = "1.0.0"
MULTUS_DAEMON = {
    "cniVersion": CNI_VERSION,
    "logLevel": "verbose",
    "logToStderr": True,
    "cniConfigDir": "/etc/cni/net.d",
    "multusAutoconfigDir": "/etc/cni/net.d",
    "multusConfigFile": "auto",
    "socketDir": "/run/multus/",
}


def _bridge(one: spec.Node) -> object:
    """The primary network; what has another node's pod as its destination is not translated."""
    return {
        "cniVersion": CNI_VERSION,
        "name": "primary",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "cni0",
                "isGateway": True,
                "hairpinMode": True,
                "ipam": {
                    "type": "host-local",
                    "subnet": str(one.pods),
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def _kubelet() -> object:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{KUBERNETES}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{KUBERNETES}/kubelet.crt",
        "tlsPrivateKeyFile": f"{KUBERNETES}/kubelet.key",
        "containerRuntimeEndpoint": CONTAINERD_SOCKET,
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": False,
        "failSwapOn": False,
        "resolvConf": "",
        # A disk that others fill is no affair of these pods.
        "evictionHard": {
            "memory.available": "0%",
            "nodefs.available": "0%",
            "imagefs.available": "0%",
        },
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "maxPods": 110,
        "nodeStatusUpdateFrequency": "4s",
        "registerNode": True,
    }


def _kube_proxy(one: spec.Node) -> object:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": f"{KUBERNETES}/kube-proxy.conf"},
        "mode": "nftables",
        "clusterCIDR": str(spec.PODS),
        "hostnameOverride": one.name,
        # 0 leaves what is the whole machine's as it is.
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
    }


# Without the right to lower scores of the out-of-memory killer, as in a container, none is lowered.
CONTAINERD = f"""\
version = 3
oom_score = 0
disabled_plugins = ["io.containerd.snapshotter.v1.devmapper", "io.containerd.nri.v1.nri"]

[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "{SANDBOX_IMAGE}"

[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true

[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dir = "/opt/cni/bin"
  conf_dir = "/etc/cni/net.d"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
  SystemdCgroup = false
  BinaryName = "/usr/bin/runc"
"""

# What Multus needs, as its own manifests grant it.
MULTUS_ACCESS: tuple[object, ...] = (
    {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "multus", "namespace": "kube-system"},
    },
    {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "multus"},
        "rules": [
            {"apiGroups": ["k8s.cni.cncf.io"], "resources": ["*"], "verbs": ["*"]},
            {
                "apiGroups": [""],
                "resources": ["pods", "pods/status"],
                "verbs": ["get", "list", "update", "watch"],
            },
            {
                "apiGroups": ["", "events.k8s.io"],
                "resources": ["events"],
                "verbs": ["create", "patch", "update"],
            },
        ],
    },
    {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "multus"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "multus",
        },
        "subjects": [{"kind": "ServiceAccount", "name": "multus", "namespace": "kube-system"}],
    },
)


def _json(value: object) -> bytes:
    """JSON, which is YAML too."""
    return json.dumps(value, indent=1).encode() + b"\n"
