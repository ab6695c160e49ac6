"""The objects and places that the cases are about."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]
IN = "namespaces/{ns}"
NAMESPACES, NODES = "/api/v1/namespaces", "/api/v1/nodes"
PODS, MAPS, SECRETS = f"/api/v1/{IN}/pods", f"/api/v1/{IN}/configmaps", f"/api/v1/{IN}/secrets"
SERVICES, EVENTS = f"/api/v1/{IN}/services", f"/api/v1/{IN}/events"
ACCOUNTS, ENDPOINTS = f"/api/v1/{IN}/serviceaccounts", f"/api/v1/{IN}/endpoints"
NEW_EVENTS = f"/apis/events.k8s.io/v1/{IN}/events"
LEASES = f"/apis/coordination.k8s.io/v1/{IN}/leases"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
NADS = f"/apis/k8s.cni.cncf.io/v1/{IN}/network-attachment-definitions"
CLAIMS = f"/apis/k8s.cni.cncf.io/v1alpha1/{IN}/ipamclaims"
POLICIES = f"/apis/k8s.cni.cncf.io/v1beta1/{IN}/multi-networkpolicies"
VMS, VMIS = (
    f"/apis/kubevirt.io/v1/{IN}/virtualmachines",
    f"/apis/kubevirt.io/v1/{IN}/virtualmachineinstances",
)


def meta(name: str, **more: Any) -> Object:
    return {"name": name, **more}


def config(name: str, data: Object | None = None, **more: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": meta(name, **more),
        "data": {"a": "1"} if data is None else data,
    }


def pod(name: str, spec: Object | None = None, **more: Any) -> Object:
    containers = [{"name": "c", "image": "registry.example/busybox:1"}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": meta(name, **more),
        "spec": {"containers": containers, **(spec or {})},
    }


def nad(name: str, text: str = "{}", **more: Any) -> Object:
    return {
        "apiVersion": "k8s.cni.cncf.io/v1",
        "kind": "NetworkAttachmentDefinition",
        "metadata": meta(name, **more),
        "spec": {"config": text},
    }


def claim(name: str, **spec: Any) -> Object:
    return {
        "apiVersion": "k8s.cni.cncf.io/v1alpha1",
        "kind": "IPAMClaim",
        "metadata": meta(name),
        "spec": {"network": "blue", "interface": "net1", **spec},
    }


def policy(name: str, spec: Object | None = None) -> Object:
    return {
        "apiVersion": "k8s.cni.cncf.io/v1beta1",
        "kind": "MultiNetworkPolicy",
        "metadata": meta(name),
        "spec": {"podSelector": {}} if spec is None else spec,
    }


def machine(name: str, spec: Object | None = None) -> Object:
    inner: dict[str, Any] = {"domain": {"devices": {}}}
    return {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachine",
        "metadata": meta(name),
        "spec": {"running": True, "template": {"spec": inner}} if spec is None else spec,
    }


def lease(name: str, **spec: Any) -> Object:
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": meta(name),
        "spec": {"holderIdentity": "me", "leaseDurationSeconds": 15, **spec},
    }


def event(name: str, **more: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": meta(name),
        "involvedObject": {"kind": "Pod", "namespace": "{ns}", "name": "web"},
        "reason": "Tested",
        "message": "said",
        "type": "Normal",
        **more,
    }


def node(name: str, **more: Any) -> Object:
    return {"apiVersion": "v1", "kind": "Node", "metadata": meta(name, **more)}


def service(name: str, spec: Object | None = None) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": meta(name),
        "spec": {"ports": [{"port": 80}], "clusterIP": "None"} if spec is None else spec,
    }
