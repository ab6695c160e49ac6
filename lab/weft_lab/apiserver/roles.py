"""What is particular to roles and bindings: defaults, rules, and that nobody gives what he has not.

The types are those of rbac.authorization.k8s.io/v1.
"""

from __future__ import annotations

from weft_lab.apiserver import auth, metadata, printers, rbac, status, writes
from weft_lab.apiserver.rbac import Attributes, Grants, Rule
from weft_lab.apiserver.resources import Object, Resource, Strategy, Version
from weft_lab.apiserver.schemas import definitions


def resources() -> list[Resource]:
    role = Strategy(default_role, validate=validate_role)
    cluster_role = Strategy(default_role, validate=validate_cluster_role)
    binding = Strategy(
        default=default_binding, validate=validate_binding, validate_change=validate_change
    )
    return [
        _resource("Role", "roles", role, namespaced=True),
        _resource("ClusterRole", "clusterroles", cluster_role, namespaced=False),
        _resource("RoleBinding", "rolebindings", binding, namespaced=True),
        _resource("ClusterRoleBinding", "clusterrolebindings", binding, namespaced=False),
    ]


def _resource(kind: str, plural: str, strategy: Strategy, *, namespaced: bool) -> Resource:
    name = f"{definitions.RBAC}.{kind}"
    columns = printers.BINDINGS if kind.endswith("Binding") else printers.ROLES
    return Resource(
        group=rbac.GROUP,
        plural=plural,
        kind=kind,
        namespaced=namespaced,
        versions=(Version("v1", definitions.reference(name), name, columns),),
        storage="v1",
        singular=kind.lower(),
        strategy=strategy,
        name_rule="path",
        create_on_update=True,
    )


def default_role(obj: Object) -> None:
    obj.setdefault("rules", None)


def validate_role(obj: Object) -> list[status.Cause]:
    return _check_rules(obj, namespaced=True)


def validate_cluster_role(obj: Object) -> list[status.Cause]:
    return _check_rules(obj, namespaced=False)


def _check_rules(obj: Object, *, namespaced: bool) -> list[status.Cause]:
    causes = []
    for place, rule in enumerate(obj.get("rules") or ()):
        field = f"rules[{place}]"
        if not rule.get("verbs"):
            causes.append(
                status.required(f"{field}.verbs", "verbs must contain at least one value")
            )
        if paths := rule.get("nonResourceURLs"):
            if namespaced:
                why = "namespaced rules cannot apply to non-resource URLs"
                causes.append(status.wrong(f"{field}.nonResourceURLs", paths, why))
            if any(rule.get(part) for part in ("apiGroups", "resources", "resourceNames")):
                why = "rules cannot apply to both regular resources and non-resource URLs"
                causes.append(status.wrong(f"{field}.nonResourceURLs", paths, why))
            continue
        if not rule.get("apiGroups"):
            why = "resource rules must supply at least one api group"
            causes.append(status.required(f"{field}.apiGroups", why))
        if not rule.get("resources"):
            why = "resource rules must supply at least one resource"
            causes.append(status.required(f"{field}.resources", why))
    return causes


def default_binding(obj: Object) -> None:
    reference = obj.get("roleRef") or {}
    reference["apiGroup"] = reference.get("apiGroup") or rbac.GROUP
    obj["roleRef"] = reference
    for subject in obj.get("subjects") or ():
        if subject.get("kind") in ("User", "Group") and not subject.get("apiGroup"):
            subject["apiGroup"] = rbac.GROUP
        for name in ("apiGroup", "namespace"):
            if not subject.get(name):
                subject.pop(name, None)


def validate_binding(obj: Object) -> list[status.Cause]:
    causes = []
    reference = obj.get("roleRef") or {}
    known = ("ClusterRole",) if obj.get("kind") == "ClusterRoleBinding" else ("Role", "ClusterRole")
    if reference.get("apiGroup") != rbac.GROUP:
        group = reference.get("apiGroup", "")
        causes.append(status.unsupported("roleRef.apiGroup", group, (rbac.GROUP,)))
    if reference.get("kind") not in known:
        causes.append(status.unsupported("roleRef.kind", reference.get("kind", ""), known))
    if not reference.get("name"):
        causes.append(status.required("roleRef.name"))
    for place, subject in enumerate(obj.get("subjects") or ()):
        is_local = obj.get("kind") == "RoleBinding"
        causes += _check_subject(f"subjects[{place}]", subject, is_local=is_local)
    return causes


_KINDS = ("ServiceAccount", "User", "Group")


def _check_subject(field: str, subject: Object, *, is_local: bool) -> list[status.Cause]:
    causes = []
    if not subject.get("name"):
        causes.append(status.required(f"{field}.name"))
    kind, group = subject.get("kind", ""), subject.get("apiGroup", "")
    if kind not in _KINDS:
        causes.append(status.unsupported(f"{field}.kind", kind, _KINDS))
    elif kind == "ServiceAccount":
        if name := subject.get("name"):
            causes += metadata.validate_name(name, "subdomain", f"{field}.name")
        if group:
            causes.append(status.unsupported(f"{field}.apiGroup", group, ("",)))
        if not subject.get("namespace") and not is_local:
            causes.append(status.required(f"{field}.namespace"))
    elif group != rbac.GROUP:
        causes.append(status.unsupported(f"{field}.apiGroup", group, (rbac.GROUP,)))
    return causes


def validate_change(new: Object, old: Object) -> list[status.Cause]:
    if new.get("roleRef") == old.get("roleRef"):
        return []
    given = new.get("roleRef") or {}
    shown = {name: given.get(f"{name[0].lower()}{name[1:]}") for name in ("Kind", "Name")}
    shown = {"APIGroup": given.get("apiGroup"), **shown}
    return [status.wrong("roleRef", shown, "cannot change roleRef")]


def check_escalation(grants: Grants, user: auth.User, target: writes.Target, obj: Object) -> None:
    """Raises Forbidden where a user would grant, or take, rights that it does not have."""
    resource = target.resource
    if resource.group != rbac.GROUP:
        return
    namespace = target.namespace
    name = target.name or str((obj.get("metadata") or {}).get("name") or "")
    if resource.kind.endswith("Binding"):
        reference = obj.get("roleRef") or {}
        kind = "roles" if reference.get("kind") == "Role" else "clusterroles"
        place = namespace if kind == "roles" else ""
        request = Attributes(
            "bind", rbac.GROUP, kind, "", namespace, str(reference.get("name", ""))
        )
        if grants.allows(user, request) is not None:
            return
        if grants.role(reference, place) is None:
            raise status.not_found(rbac.GROUP, resource.plural, str(reference.get("name", "")))
        rules = grants.rules_of(reference, place)
    else:
        request = Attributes("escalate", rbac.GROUP, resource.plural, "", namespace, name)
        if grants.allows(user, request) is not None:
            return
        rules = [Rule.of(each) for each in obj.get("rules") or ()]
    missing = grants.lacks(user, rules, namespace)
    if missing:
        groups = " ".join(status.quote(group) for group in user.groups)
        listed = "\n".join(map(str, missing))
        why = (
            f"user {status.quote(user.name)} (groups=[{groups}]) is attempting to grant RBAC"
            f" permissions not currently held:\n{listed}"
        )
        raise status.forbidden(rbac.GROUP, resource.plural, name, why)
