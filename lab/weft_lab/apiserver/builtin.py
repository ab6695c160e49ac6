"""Lists the built-in types, with their rules and columns.

Events are served by two groups over one stored form; the second is an alias.
"""

from __future__ import annotations

from weft_lab.apiserver import admissiontypes, crd, pods, printers, roles, strategies
from weft_lab.apiserver.cluster import Cluster
from weft_lab.apiserver.resources import Column, Resource, Strategy, Version
from weft_lab.apiserver.schemas import definitions

_EVENT_FIELDS = {
    f"involvedObject.{name}": ("involvedObject", name)
    for name in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
} | {
    "reason": ("reason",),
    "type": ("type",),
    "source": ("source", "component"),
    "reportingComponent": ("reportingComponent",),
}
_POD_FIELDS = {
    "spec.nodeName": ("spec", "nodeName"),
    "spec.restartPolicy": ("spec", "restartPolicy"),
    "spec.schedulerName": ("spec", "schedulerName"),
    "spec.serviceAccountName": ("spec", "serviceAccountName"),
    "spec.hostNetwork": ("spec", "hostNetwork"),
    "status.phase": ("status", "phase"),
    "status.podIP": ("status", "podIP"),
    "status.nominatedNodeName": ("status", "nominatedNodeName"),
}


def _version(
    definition: str, columns: tuple[Column, ...] = (), *, status: bool = False, warning: str = ""
) -> tuple[Version, ...]:
    schema = definitions.reference(definition)
    return (Version("v1", schema, definition, columns, has_status=status, warning=warning),)


def _core(
    kind: str,
    plural: str,
    strategy: Strategy | None = None,
    *,
    short: tuple[str, ...] = (),
    columns: tuple[Column, ...] = (),
    namespaced: bool = True,
    status: bool = False,
    warning: str = "",
    **more: object,
) -> Resource:
    return Resource(
        group="",
        plural=plural,
        kind=kind,
        namespaced=namespaced,
        versions=_version(f"{definitions.CORE}.{kind}", columns, status=status, warning=warning),
        storage="v1",
        singular=kind.lower(),
        short=short,
        strategy=strategy or Strategy(),
        **more,  # type: ignore[arg-type]
    )


def resources() -> list[Resource]:
    """Every built-in type that keeps objects."""
    return [
        *_workload(),
        *_configuration(),
        *_other_groups(),
        *roles.resources(),
        *admissiontypes.resources(),
    ]


def _workload() -> list[Resource]:
    return [
        _core(
            "Namespace",
            "namespaces",
            Strategy(
                create=strategies.create_namespace,
                change=strategies.change_namespace,
                validate=strategies.validate_namespace,
            ),
            short=("ns",),
            columns=printers.NAMESPACES,
            namespaced=False,
            status=True,
            selectable={"status.phase": ("status", "phase")},
            subresources={"finalize": ("update",)},
            verbs=("create", "delete", "get", "list", "patch", "update", "watch"),
            name_rule="label",
        ),
        _core(
            "Pod",
            "pods",
            Strategy(
                pods.default,
                pods.create,
                validate=pods.validate,
                validate_change=pods.validate_change,
                grace=True,
            ),
            short=("po",),
            columns=printers.PODS,
            status=True,
            categories=("all",),
            selectable=_POD_FIELDS,
            subresources=pods.SUBRESOURCES,
            counted=True,
            answers_deleted=True,
        ),
        _core(
            "Node",
            "nodes",
            Strategy(default=strategies.default_node, validate=strategies.validate_node),
            short=("no",),
            columns=printers.NODES,
            namespaced=False,
            status=True,
            selectable={"spec.unschedulable": ("spec", "unschedulable")},
        ),
        _core(
            "Event",
            "events",
            Strategy(strategies.default_event, validate=strategies.validate_event),
            short=("ev",),
            columns=printers.EVENTS,
            selectable=_EVENT_FIELDS,
            name_rule="path",
            create_on_update=True,
        ),
    ]


def _configuration() -> list[Resource]:
    secret = Strategy(
        strategies.default_secret,
        validate=strategies.validate_keys,
        validate_change=strategies.validate_immutable,
    )
    config = Strategy(
        validate=strategies.validate_keys, validate_change=strategies.validate_immutable
    )
    service = Strategy(strategies.default_service, validate=strategies.validate_service)
    return [
        _core("ConfigMap", "configmaps", config, short=("cm",), columns=printers.CONFIGMAPS),
        _core(
            "Secret", "secrets", secret, columns=printers.SECRETS, selectable={"type": ("type",)}
        ),
        _core(
            "ServiceAccount",
            "serviceaccounts",
            short=("sa",),
            columns=printers.ACCOUNTS,
            subresources={"token": ("create",)},
            answers_deleted=True,
        ),
        _core(
            "Service",
            "services",
            service,
            short=("svc",),
            columns=printers.SERVICES,
            status=True,
            categories=("all",),
            answers_deleted=True,
            create_on_update=True,
            name_rule="label",
            selectable={"spec.clusterIP": ("spec", "clusterIP"), "spec.type": ("spec", "type")},
        ),
        _core(
            "Endpoints",
            "endpoints",
            Strategy(strategies.default_endpoints),
            short=("ep",),
            columns=printers.ENDPOINTS,
            create_on_update=True,
            warning="v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
        ),
    ]


def _other_groups() -> list[Resource]:
    return [
        Resource(
            group="coordination.k8s.io",
            plural="leases",
            kind="Lease",
            namespaced=True,
            versions=_version("io.k8s.api.coordination.v1.Lease", printers.LEASES),
            storage="v1",
            singular="lease",
            strategy=Strategy(
                strategies.default_lease,
                validate=strategies.validate_lease,
                unconditional_update=False,
            ),
            create_on_update=True,
        ),
        Resource(
            group="apiextensions.k8s.io",
            plural="customresourcedefinitions",
            kind="CustomResourceDefinition",
            namespaced=False,
            versions=_version(
                f"{definitions.EXTENSIONS}.CustomResourceDefinition", printers.CRDS, status=True
            ),
            storage="v1",
            singular="customresourcedefinition",
            short=("crd", "crds"),
            strategy=crd.STRATEGY,
            categories=("api-extensions",),
        ),
    ]


EVENTS_ALIAS = Version(
    "v1",
    definitions.reference("io.k8s.api.events.v1.Event"),
    "io.k8s.api.events.v1.Event",
    printers.EVENTS,
    api_version="events.k8s.io/v1",
    to_storage=strategies.event_to_core,
    from_storage=strategies.event_from_core,
)


def fill_cluster(cluster: Cluster) -> None:
    """Offer all of them, with the objects that are stored."""
    for resource in resources():
        cluster.install(resource)
        if resource.id == "events":
            cluster.registry.add_alias("events.k8s.io", resource, EVENTS_ALIAS)
