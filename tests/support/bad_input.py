"""Every mistake that a manifest can hold, and what its author is to read about it.

A case is one object with one mistake: which Event at it, with which words. All of a lab's cases
are applied at once; they share nothing but the networks that `NETWORKS` declares.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import yaml

from tests.support import objects
from tests.support.objects import Object, pod
from weft.kube import resources

CNI = "ovn-k8s-cni-overlay"


@dataclass(frozen=True)
class Case:
    """`reason` is that of an Event at `obj` whose message has all of `words`."""

    obj: Object
    reason: str
    words: tuple[str, ...]

    @property
    def name(self) -> str:
        return str(self.obj["metadata"]["name"])

    @property
    def about(self) -> str:
        return f"{self.obj['kind']}/{self.name}"


def good(name: str, /, subnets: str | None = objects.DUAL, **config: Any) -> Object:
    """A NAD that is accepted, unless `config` has it otherwise."""
    return objects.nad(name, subnets, **{"mtu": 1300, **config})


NOBODY = {"matchLabels": {"app": "nobody"}}
NETWORKS = (
    good("good"),
    good("only4", "10.101.0.0/24", excludeSubnets="10.101.0.0/29"),
    good("unmanaged", ""),
    good("tiny", "10.102.0.0/30"),
    good("kept", "10.103.0.0/24", allowPersistentIPs=True),
)
HELD_ADDRESS, HELD_MAC = "10.100.0.77", "02:00:00:00:00:77"
HOLDERS = (
    pod("holder", [{"name": "good", "ips": [HELD_ADDRESS], "mac": HELD_MAC}]),
    pod("tiny-1", networks="tiny"),
    pod("tiny-2", networks="tiny"),
)


def _nad(own: str, words: str, reason: str = "InvalidConfig", /, **config: Any) -> Case:
    """`words` apart by ' | '; a field set to None is left out, `raw` is the whole text."""
    made = good(own)
    conf = {**json.loads(made["spec"]["config"]), "subnets": "10.120.0.0/24", **config}
    conf = {key: value for key, value in conf.items() if value is not None}
    made["spec"]["config"] = config["raw"] if "raw" in config else json.dumps(conf)
    return Case(made, reason, (f"NetworkAttachmentDefinition default/{own}", *words.split(" | ")))


DECLARED_NADS = [
    _nad("bad-json", 'is not valid JSON | line 1, column 21 | {"name": "bad-json" <here>',
         raw='{"name": "bad-json" "type": "ovn-k8s-cni-overlay"}'),
    _nad("bad-list", "must hold a JSON object, not a list", raw="[]"),
    _nad("bad-chain", "chains 2 plugins", raw=json.dumps({
        "name": "c", "cniVersion": "1.0.0", "plugins": [{"type": CNI}, {"type": "tuning"}]})),
    _nad("near-type", 'spec.config.type "ovn-k8s-cni-overlai" | did you mean', "NotServed",
         type="ovn-k8s-cni-overlai"),
    _nad("no-type", 'spec.config.type: is missing | add "type"', "NotServed", type=None),
    _nad("slip", "spec.config.mut is ignored | did you mean mtu?", "IgnoredKeys", mut=1300),
    _nad("bad-own-name", 'netAttachDefName "default/x" | must be "default/bad-own-name"',
         netAttachDefName="default/x"),
    _nad("no-own-name", "netAttachDefName: is missing", netAttachDefName=None),
    _nad("no-name", "spec.config.name: is missing", name=None),
    _nad("taken-name", 'name "default" | the default network', name="default"),
    _nad("bad-topology", 'topology "Layer2" | did you mean layer2?', topology="Layer2"),
    _nad("no-topology", "topology: is missing | layer2", topology=None),
    _nad("bad-role", 'role "primary" | use role secondary', role="primary"),
    _nad("bad-ipam", "spec.config.ipam | is not supported | subnets", ipam={"type": "static"}),
    _nad("bad-vlan", "vlanID 5 | localnet | remove it", vlanID=5),
    _nad("bad-version", 'cniVersion "9.9"', cniVersion="9.9"),
    _nad("text-mtu", 'mtu "1300" | a whole number | without quotes', mtu="1300"),
    _nad("small-mtu", "mtu 500 | at least 576 | raise it", mtu=500),
    _nad("small-mtu6", "mtu 1200: | at least 1280 | IPv6", mtu=1200, subnets="fd20::/64"),
    _nad("large-mtu", "mtu 9000 | MTU is 1500 | set mtu to 1442", "MTUTooLarge", mtu=9000),
    _nad("bad-subnet", 'subnets "10.1.0.300/24" | must be a subnet', subnets="10.1.0.300/24"),
    _nad("bare-subnet", 'subnets "10.1.0.0" | add the prefix length', subnets="10.1.0.0"),
    _nad("list-subnets", 'subnets ["10.1.0.0/24"] | a string, not a list',
         subnets=["10.1.0.0/24"]),
    _nad("two-subnets", 'subnets "10.1.0.128/25" | beside 10.1.0.0/24',
         subnets="10.1.0.0/24,10.1.0.128/25"),
    _nad("own-subnet", 'subnets "10.128.8.0/24" | overlaps 10.128.0.0/14, the default '
         "network | choose another", subnets="10.128.8.0/24"),
    _nad("reserved-subnet", 'subnets "172.31.0.0/25" | overlaps 172.31.0.0/24, a range of the '
         "cluster's own | choose another", subnets="172.31.0.0/25"),
    _nad("outer-exclusion", 'excludeSubnets "10.9.0.0/30" | outside of subnets 10.120.0.0/24',
         excludeSubnets="10.9.0.0/30"),
    _nad("all-excluded", "leaves no address of 10.120.0.0/24", excludeSubnets="10.120.0.0/24"),
    _nad("bad-flag", 'allowPersistentIPs "true" | true or false', allowPersistentIPs="true"),
    _nad("bad-dhcp", "spec.config.dhcp.router | did you mean routers?", dhcp={"router": []}),
    _nad("many", 'netAttachDefName "q" | subnets "1" | mtu 1:', netAttachDefName="q", subnets="1",
         mtu=1),
    _nad("differs", 'declares network "good" with mtu 1280 | NetworkAttachmentDefinition '
         "default/good, which was first, with 1300", name="good", mtu=1280,
         subnets="10.100.0.0/24,fd01::/64"),
]  # fmt: skip


def _pod(name: str, networks: Any, words: str) -> Case:
    return Case(pod(name, networks), "ErrorAllocatingPod", tuple(words.split(" | ")))


def _request(**fields: Any) -> list[Object]:
    return [{"name": "good", **fields}]


ELEMENTS = [
    _pod("s-json", '[{"name": "good",]', "Pod default/s-json | networks: is not valid JSON"),
    _pod("s-object", '{"name": "good"}', 'networks {"name": "good"} | a list of objects'),
    _pod("s-number", [5], "networks[0] 5: must be an object"),
    _pod("s-comma", "good,,good", "networks[1] | remove the extra comma"),
    _pod("s-slash", "a/b/c", '"a/b/c": must have the form [namespace/]name[@interface]'),
    _pod("s-capital", "Good", 'networks[0].name "Good" | a Kubernetes name'),
    _pod("s-long", "good@this-name-is-too-long", "interface | 21 characters | allows 15 | shorter"),
    _pod("s-mark", _request(interface="a/b"), 'interface "a/b": must be an interface name'),
    _pod("s-eth0", _request(interface="eth0"), 'interface "eth0" | default interface already'),
    _pod("s-duplicates", "good@x,good@x", 'networks[1].interface "x": is that of element 0'),
    _pod("s-mac", _request(mac="zz"), 'networks[0].mac "zz": must be a MAC address'),
    _pod("s-group", _request(mac="01:00:00:00:00:01"), "must be a unicast address"),
    _pod("s-macs", _request(mac="02:00:00:00:00:11") * 2, "is held by attachment default/good of "
         "the same pod"),
    _pod("s-ip", _request(ips=["10.100.0.999"]), 'ips[0] "10.100.0.999": must be an address'),
    _pod("s-ips", _request(ips="10.100.0.9"), 'ips "10.100.0.9": must be a list | put it into [ ]'),
    _pod("s-outside", _request(ips=["10.1.0.9"]), 'ips "10.1.0.9": lies outside of subnet '
         "10.100.0.0/24"),
    _pod("s-length", _request(ips=["10.100.0.9/16"]), "another prefix length | write 10.100.0.9"),
    _pod("s-cast", _request(ips=["10.100.0.255"]), "is the broadcast address of subnet"),
    _pod("s-second", _request(ips=["10.100.0.8", "10.100.0.9"]), "second IPv4 address beside"),
    _pod("s-family", [{"name": "only4", "ips": ["fd01::9"]}], 'ips "fd01::9": is IPv6 | only '
         "10.101.0.0/24"),
    _pod("s-excluded", [{"name": "only4", "ips": ["10.101.0.1"]}], "lies in 10.101.0.0/29 | "
         "excludeSubnets"),
    _pod("s-bare", [{"name": "unmanaged", "ips": ["10.1.0.9"]}], "needs a prefix length | write "
         "10.1.0.9/24"),
    _pod("s-gateway", _request(**{"default-route": ["x"]}), 'default-route[0] "x"'),
    _pod("s-gateways", _request(**{"default-route": ["10.100.0.1"]}) * 2, "requested by element 0"),
    _pod("s-claim", _request(**{"ipam-claim-reference": "c", "ips": ["10.100.0.9"]}), "beside ips"),
    _pod("s-no-claim", [{"name": "kept", "ipam-claim-reference": "c"}], "IPAMClaim default/c: "
         "does not exist | goes on when it is created"),
    _pod("s-taken-ip", _request(ips=[HELD_ADDRESS]), f'ips "{HELD_ADDRESS}": is held by Pod '
         "default/holder | continues when this one is free"),
    _pod("s-taken-mac", _request(mac=HELD_MAC), f'mac "{HELD_MAC}": is held by Pod default/holder'),
    _pod("s-exhausted", "tiny", "no address is free in subnet 10.102.0.0/30: all 2 are taken"),
    _pod("s-missing", "good,missing", "NetworkAttachmentDefinition default/missing: does not "
         "exist | goes on when it is created"),
    _pod("s-invalid", "small-mtu", "NetworkAttachmentDefinition default/small-mtu: is invalid: "
         "spec.config.mtu 500: must be at least 576"),
    _pod("s-differs", "differs", "with mtu 1280 | default/good, which was first"),
    Case(pod("s-no-type", networks="no-type"), "FailedCreatePodSandBox",
         ("NetworkAttachmentDefinition default/no-type: spec.config.type", "name of a CNI plugin")),
    Case(pod("s-other", networks="near-type"), "FailedCreatePodSandBox",
         ('failed to find plugin "ovn-k8s-cni-overlai"',)),
    Case(pod("s-absent", networks="missing"), "NoNetworkFound",
         ("cannot find a network-attachment-definition (missing) in namespace (default)",)),
]  # fmt: skip

_MACHINE = """
apiVersion: kubevirt.io/v1
kind: VirtualMachine
metadata: {name: vm, namespace: default}
spec:
  runStrategy: Halted
  template:
    spec:
      terminationGracePeriodSeconds: 0
      domain:
        devices:
          disks: [{name: root, disk: {bus: virtio}}]
          interfaces: [{name: default, masquerade: {}}, {name: net, bridge: {}}]
        resources: {requests: {memory: 256Mi}}
      networks: [{name: default, pod: {}}, {name: net, multus: {networkName: good}}]
      volumes: [{name: root, containerDisk: {image: quay.io/x/fedora}}]
"""


def machine(name: str, change: Callable[[Object, Object], object]) -> Object:
    """`change` gets the VM's spec and its template's spec."""
    made: Object = yaml.safe_load(_MACHINE)
    made["metadata"]["name"] = name
    change(made["spec"], made["spec"]["template"]["spec"])
    return made


def _vm(
    name: str,
    change: Callable[[Object, Object], object],
    words: str,
    reason: str = "InvalidSpec",
) -> Case:
    named = (f"VirtualMachine default/{name}",) if reason == "InvalidSpec" else ()
    return Case(machine(name, change), reason, (*named, *words.split(" | ")))


def _interface(**fields: Any) -> Callable[[Object, Object], object]:
    def change(spec: Object, template: Object) -> None:
        template["domain"]["devices"]["interfaces"][1] = {"name": "net", **fields}

    return change


def _network(network: Object, **spec: Any) -> Callable[[Object, Object], object]:
    def change(whole: Object, template: Object) -> None:
        template["networks"][1] = {"name": "net", **network}
        whole.update(spec)

    return change


def _volume(volume: Object) -> Callable[[Object, Object], object]:
    return lambda spec, template: template.update(volumes=[volume])


_RUNS = {"runStrategy": "Always"}
MACHINES = [
    _vm("v-net", lambda spec, template: template["networks"].pop(),
        "interfaces[net]: has no network of its name | add one to spec.template.spec.networks"),
    _vm("v-nic", lambda spec, template: template["domain"]["devices"]["interfaces"].pop(),
        "networks[net]: has no interface of its name | add one to"),
    _vm("v-binding", _interface(brigde={}), "interfaces[net]: has no binding; it must have"),
    _vm("v-plugin", _interface(binding={"name": "x"}), 'binding.name "x": is not a binding'),
    _vm("v-both", _interface(bridge={}, masquerade={}), '["bridge", "masquerade"] | one binding'),
    _vm("v-masquerade", _interface(masquerade={}), "use bridge: {} on a secondary network"),
    _vm("v-mac", _interface(bridge={}, macAddress="zz"), 'macAddress "zz": must be six pairs'),
    _vm("v-group", _interface(bridge={}, macAddress="03:00:00:00:00:01"), "a unicast address"),
    _vm("v-volume", _volume({"name": "other", "containerDisk": {"image": "x"}}),
        "disks[root]: has no volume of its name | add one"),
    _vm("v-empty", _volume({"name": "root"}), "volumes[root]: must have exactly one source"),
    _vm("v-slashes", _network({"multus": {"networkName": "a/b/c"}}), 'networkName "a/b/c"'),
    _vm("v-neither", _network({}), "networks[net]: must have exactly one of pod and multus"),
    _vm("v-strategy", lambda spec, template: spec.update(runStrategy="always"),
        'spec.runStrategy "always" | did you mean Always?'),
    _vm("v-running", lambda spec, template: spec.update(running=True), "excludes spec.runStrategy"),
    # What only the network can know reaches the VM from its pod.
    _vm("v-missing", _network({"multus": {"networkName": "missing-too"}}, **_RUNS),
        "default/missing-too: does not exist", "ErrorAllocatingPod"),
    _vm("v-taken", lambda spec, template: (spec.update(_RUNS),
        _interface(bridge={}, macAddress=HELD_MAC)(spec, template)),
        f'mac "{HELD_MAC}": is held by Pod default/holder', "ErrorAllocatingPod"),
]  # fmt: skip


def policy(name: str, networks: str = "good", mode: str = "", **spec: Any) -> Object:
    """A policy of no pod."""
    return objects.policy(name, networks, mode=mode, **{"podSelector": NOBODY, **spec})


def _policy(name: str, words: str, reason: str = "PartSkipped", /, **spec: Any) -> Case:
    """Only what an API server lets through."""
    expected = (f"MultiNetworkPolicy default/{name}: ", *words.split(" | "))
    return Case(policy(name, **spec), reason, expected)


def _peer(name: str, words: str, /, **peer: Any) -> Case:
    return _policy(name, f"spec.ingress[0].from[0]{words}", ingress=[{"from": [peer]}])


def _port(name: str, words: str, /, **port: Any) -> Case:
    return _policy(name, f"spec.ingress[0].ports[0]{words}", ingress=[{"ports": [port]}])


_SELECTOR = {"matchExpressions": [{"key": "a", "operator": "In"}]}
POLICIES = [
    _policy("y-nothing", "policy-for: is missing or empty", "InvalidPolicy", networks=""),
    _policy("y-comma", "remove the extra comma", "InvalidPolicy", networks="good,"),
    _policy("y-slash", 'policy-for "a/b/c": must be the name', "InvalidPolicy", networks="a/b/c"),
    _policy("y-mode", 'policy-mode "Audit": must be one of | write audit', "InvalidPolicy",
            mode="Audit"),
    _policy("y-pods", "podSelector.matchExpressions[0].values: must name", "InvalidPolicy",
            podSelector=_SELECTOR),
    _policy("y-key", 'podSelector.matchLabels.a b "c": has a key that is', "InvalidPolicy",
            podSelector={"matchLabels": {"a b": "c"}}),
    _policy("y-types", "spec.egress: has no effect | add Egress to policyTypes",
            policyTypes=["Ingress"], egress=[{}]),
    _policy("y-unknown", "NetworkAttachmentDefinition default/nowhere: does not exist",
            "NetworkMissing", networks="nowhere"),
    _peer("y-peer", " {}: selects no peer"),
    _peer("y-both", ".ipBlock: is set beside podSelector", podSelector={},
          ipBlock={"cidr": "10.0.0.0/8"}),
    _peer("y-selector", ".podSelector.matchExpressions[0].values: must name",
          podSelector=_SELECTOR),
    _peer("y-cidr", '.ipBlock.cidr "10.0.0.1": must be a range | add the prefix length',
          ipBlock={"cidr": "10.0.0.1"}),
    _peer("y-length", '.ipBlock.cidr "10.0.0.0/33": must be', ipBlock={"cidr": "10.0.0.0/33"}),
    _peer("y-mapped", ".ipBlock.cidr | IPv4 addresses in IPv6 form",
          ipBlock={"cidr": "::ffff:10.0.0.0/104"}),
    _peer("y-except", '.ipBlock.except[0] "11.0.0.0/16": lies outside of cidr 10.0.0.0/8',
          ipBlock={"cidr": "10.0.0.0/8", "except": ["11.0.0.0/16"]}),
    _peer("y-hole", ".ipBlock.except[0] | covers all of cidr",
          ipBlock={"cidr": "10.0.0.0/8", "except": ["10.0.0.0/8"]}),
    _port("y-quoted", '.port "80": must be a number or the name | without quotes', port="80"),
    _port("y-zero", ".port 0: must lie between 1 and 65535", port=0),
    _port("y-end", ".endPort 90: ends a range that nothing begins", endPort=90),
    _port("y-below", ".endPort 80: is less than port 90", port=90, endPort=80),
    _port("y-name", ".endPort 90: cannot end a range that the name http", port="http", endPort=90),
    _policy("y-block", 'spec.egress[0].ports "http": names a port of a pod', egress=[
        {"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"port": "http"}]}]),
]  # fmt: skip

ALL = [*DECLARED_NADS, *ELEMENTS, *MACHINES, *POLICIES]
KINDS = {
    res.kind: res
    for res in (resources.NADS, resources.PODS, resources.VMS, resources.MULTINETWORKPOLICIES)
}
