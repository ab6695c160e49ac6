"""Plugs and unplugs interfaces of running pods as Multus' dynamic networks controller does.

It stands in for that controller, whose Go module the proxy does not serve. It keeps to its contract
with everybody else: the difference of selection and network-status, Multus' delegate API on the
node's socket with the pod's sandbox, and network-status by the pod's status subresource.
"""

from __future__ import annotations

import base64
import http.client
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.cluster.access import Object
from tests.cluster.cluster import PATIENCE, Machine
from tests.cluster.room import STATUS, Room
from weft import names

SOCKET = "run/multus/multus.sock"


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A pod as its node's container runtime knows it."""

    node: Machine
    id: str
    netns: str


class _Connection(http.client.HTTPConnection):
    """To the Multus daemon of a node."""

    def __init__(self, node: Machine) -> None:
        super().__init__("dummy", timeout=PATIENCE)
        self._path = f"/proc/{node.pid()}/root/{SOCKET}"

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(self._path)


class Refused(Exception):
    """What Multus says of a call that failed."""


@dataclass(frozen=True, slots=True)
class Controller:
    """Of one namespace. `reconcile` does once what the controller does after an edit."""

    room: Room

    def reconcile(self, name: str, stale: list[Object] | None = None) -> None:
        """Adds what is new, then removes what is no longer named. Raises Refused.

        `stale`: an earlier selection, which the controller has not seen changed yet.
        """
        pod = self.room.access.get("-n", self.room.namespace, "pod", name)
        wanted = stale or json.loads(pod["metadata"]["annotations"].get(names.NETWORKS, "[]"))
        there = self.room.status(name)
        sandbox = self._sandbox(pod)
        keys = {(self._nad(each["name"]), each["interface"]) for each in wanted}
        made = {(each["name"], each["interface"]) for each in there if not each.get("default")}
        for element in wanted:
            if (self._nad(element["name"]), element["interface"]) not in made:
                there.append(self._add(pod, sandbox, element))
                self._report(name, there)
        for key in made - keys:
            self._invoke("DEL", pod, sandbox, *key)
            there = [each for each in there if (each["name"], each["interface"]) != key]
            self._report(name, there)

    def _nad(self, name: str) -> str:
        return name if "/" in name else f"{self.room.namespace}/{name}"

    def _add(self, pod: Object, sandbox: Sandbox, element: Mapping[str, Any]) -> Object:
        """The entry of network-status, of the interface inside the pod."""
        nad, interface = self._nad(element["name"]), element["interface"]
        requested = {key: element[key] for key in ("ips", "mac") if key in element}
        try:
            answer = self._invoke("ADD", pod, sandbox, nad, interface, requested)
        except Refused:
            self._invoke("DEL", pod, sandbox, nad, interface)
            raise
        result = answer["Result"]
        (inside,) = (each for each in result["interfaces"] if each.get("sandbox"))
        addresses = [each["address"].partition("/")[0] for each in result.get("ips", ())]
        entry = {"name": nad, "interface": inside["name"], "ips": addresses, "mac": inside["mac"]}
        return {**entry, "dns": {}}

    def _invoke(
        self,
        command: str,
        pod: Object,
        sandbox: Sandbox,
        nad: str,
        interface: str,
        requested: Mapping[str, Any] | None = None,
    ) -> Object:
        namespace, _, name = nad.partition("/")
        definition = self.room.access.get("-n", namespace, "net-attach-def", name)
        meta = pod["metadata"]
        of_pod = {"NAMESPACE": meta["namespace"], "NAME": meta["name"], "UID": meta["uid"]}
        body: Object = {
            "env": {
                "CNI_COMMAND": command,
                "CNI_CONTAINERID": sandbox.id,
                "CNI_NETNS": sandbox.netns,
                "CNI_IFNAME": interface,
                "CNI_ARGS": ";".join(f"K8S_POD_{key}={value}" for key, value in of_pod.items()),
            },
            "config": base64.b64encode(definition["spec"]["config"].encode()).decode(),
        }
        if requested:
            body["interfaceAttributes"] = dict(requested)
        connection = _Connection(sandbox.node)
        try:
            headers = {"Content-Type": "application/json"}
            connection.request("POST", "/delegate", json.dumps(body), headers)
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        if response.status != http.client.OK:
            raise Refused(f"{command} of {interface}: status {response.status}: {text}")
        return dict(json.loads(text)) if text else {}

    def _report(self, name: str, entries: list[Object]) -> None:
        change = {"metadata": {"annotations": {STATUS: json.dumps(entries)}}}
        self.room.kubectl(
            *("patch", "pod", name, "--subresource=status", "--type=merge", "-p"),
            json.dumps(change),
        )

    def _sandbox(self, pod: Object) -> Sandbox:
        own = self.room.access.machines("speaks to Multus on a node")
        node = own.machine(pod["spec"]["nodeName"])
        chosen = (
            f'labels."io.kubernetes.pod.uid"=={pod["metadata"]["uid"]},'
            'labels."io.cri-containerd.kind"==sandbox'
        )
        ctr = ("ctr", "-n", "k8s.io", "containers")
        (number,) = node.run(*ctr, "ls", "-q", chosen).stdout.decode().split()
        known = json.loads(node.run(*ctr, "info", number).stdout)
        (netns,) = (
            each["path"]
            for each in known["Spec"]["linux"]["namespaces"]
            if each["type"] == "network"
        )
        return Sandbox(node, number, netns)
