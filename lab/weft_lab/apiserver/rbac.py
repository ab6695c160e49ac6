"""Decides who may do what, by roles and their bindings as Kubernetes does (RBAC). Pure.

`Grants` is made of the stored objects and is thrown away when one of them changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from weft_lab.apiserver.auth import MASTERS, User
from weft_lab.apiserver.resources import Object

GROUP = "rbac.authorization.k8s.io"
TYPES = tuple(
    f"{plural}.{GROUP}"
    for plural in ("roles", "rolebindings", "clusterroles", "clusterrolebindings")
)
_FIELDS = ("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs")


@dataclass(frozen=True, slots=True)
class Attributes:
    """A request: a verb on a resource, or on a `path` that is not a resource's."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    @property
    def full_resource(self) -> str:
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


@dataclass(frozen=True, slots=True)
class Rule:
    """A PolicyRule."""

    verbs: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()

    @classmethod
    def of(cls, obj: Object) -> Rule:
        return cls(*(tuple(obj.get(field) or ()) for field in _FIELDS))

    def allows(self, request: Attributes) -> bool:
        if "*" not in self.verbs and request.verb not in self.verbs:
            return False
        if request.path:
            return any(_is_path(pattern, request.path) for pattern in self.paths)
        if "*" not in self.groups and request.group not in self.groups:
            return False
        if self.names and request.name not in self.names:
            return False
        return any(_is_resource(pattern, request) for pattern in self.resources)

    def singles(self) -> Iterator[Rule]:
        """The same as rules of one verb, one group, one resource, one name each."""
        for verb in self.verbs:
            for group in self.groups:
                for resource in self.resources:
                    for name in self.names or (None,):
                        names = () if name is None else (name,)
                        yield Rule((verb,), (group,), (resource,), names)
            for path in self.paths:
                yield Rule((verb,), paths=(path,))

    def covers(self, single: Rule) -> bool:
        """Whether a rule of singles is within this one."""
        if "*" not in self.verbs and single.verbs[0] not in self.verbs:
            return False
        if single.paths:
            return any(_is_path(pattern, single.paths[0]) for pattern in self.paths)
        if "*" not in self.groups and single.groups[0] not in self.groups:
            return False
        if self.names and not set(single.names) & set(self.names):
            return False
        below = single.resources[0].partition("/")[2]
        return any(
            pattern in ("*", single.resources[0]) or (bool(below) and pattern == f"*/{below}")
            for pattern in self.resources
        )

    def __str__(self) -> str:
        named = ("Verbs", "APIGroups", "Resources", "ResourceNames", "NonResourceURLs")
        held = (self.verbs, self.groups, self.resources, self.names, self.paths)
        parts = dict(zip(named, held, strict=True))
        order = ("APIGroups", "Resources", "ResourceNames", "NonResourceURLs", "Verbs")
        shown = (f"{name}:{_quoted(parts[name])}" for name in order if parts[name])
        return f"{{{', '.join(shown)}}}"

    def body(self) -> Object:
        held = (self.verbs, self.groups, self.resources, self.names, self.paths)
        return {field: list(each) for field, each in zip(_FIELDS, held, strict=True) if each}


def _quoted(values: Iterable[str]) -> str:
    return f"[{' '.join(_quote(each) for each in values)}]"


def _quote(text: str) -> str:
    return f'"{text}"'


def _is_path(pattern: str, path: str) -> bool:
    if pattern in ("*", path):
        return True
    return pattern.endswith("*") and path.startswith(pattern[:-1])


def _is_resource(pattern: str, request: Attributes) -> bool:
    if pattern in ("*", request.full_resource):
        return True
    return bool(request.subresource) and pattern == f"*/{request.subresource}"


@dataclass(frozen=True, slots=True)
class Grant:
    """A rule that a user has, and text that names the binding."""

    rule: Rule
    why: str


@dataclass(slots=True)
class Grants:
    """The rules of each user, cached."""

    cluster_roles: Mapping[str, Object]
    roles: Mapping[tuple[str, str], Object]
    cluster_bindings: Iterable[Object]
    bindings: Mapping[str, list[Object]]  # by namespace
    _known: dict[tuple[str, tuple[str, ...], str], tuple[Grant, ...]] = field(default_factory=dict)

    def of(self, user: User, namespace: str) -> tuple[Grant, ...]:
        """The grants of `user` in a namespace; in the whole cluster if it is empty."""
        key = user.name, user.groups, namespace
        if key not in self._known:
            self._known[key] = tuple(self._find(user, namespace))
        return self._known[key]

    def _find(self, user: User, namespace: str) -> Iterator[Grant]:
        if MASTERS in user.groups:
            yield Grant(Rule(("*",), ("*",), ("*",), (), ("*",)), "")
        local = self.bindings.get(namespace, []) if namespace else []
        for binding in (*self.cluster_bindings, *local):
            home = binding["metadata"].get("namespace", "")
            subject = next((s for s in _subjects(binding) if _is_user(s, user, home)), None)
            if subject is not None:
                why = _words(binding, subject, home)
                for rule in self.rules_of(binding["roleRef"], home):
                    yield Grant(rule, why)

    def rules_of(self, reference: Object, namespace: str) -> list[Rule]:
        """The rules of the role that a binding in `namespace` names."""
        if reference.get("kind") == "Role":
            role = self.roles.get((namespace, reference["name"]))
        else:
            role = self.cluster_roles.get(reference["name"])
        return [] if role is None else [Rule.of(each) for each in self.full_rules(role)]

    def full_rules(self, role: Object) -> list[Object]:
        """A role's rules; those of an aggregating role are the rules of the roles it selects."""
        if "aggregationRule" not in role:
            return role.get("rules") or []
        found: list[Object] = []
        chosen = role["aggregationRule"].get("clusterRoleSelectors") or ()
        for name in sorted(self.cluster_roles):
            other = self.cluster_roles[name]
            labels = other["metadata"].get("labels") or {}
            if other is not role and any(selects(each, labels) for each in chosen):
                found += [each for each in other.get("rules") or () if each not in found]
        return found

    def absent(self, user: User, namespace: str) -> list[str]:
        """The roles that bindings of `user` name and that are not there, in words."""
        found = []
        for binding in (*self.cluster_bindings, *self.bindings.get(namespace, [])):
            home, reference = binding["metadata"].get("namespace", ""), binding["roleRef"]
            is_bound = any(_is_user(one, user, home) for one in _subjects(binding))
            if is_bound and self.role(reference, home) is None:
                kind, name = reference["kind"].lower(), _quote(reference["name"])
                found.append(f"{kind}.{GROUP} {name} not found")
        return found

    def role(self, reference: Object, namespace: str) -> Object | None:
        if reference.get("kind") == "Role":
            return self.roles.get((namespace, reference.get("name", "")))
        return self.cluster_roles.get(reference.get("name", ""))

    def allows(self, user: User, request: Attributes) -> Grant | None:
        """The grant that allows it; None if none does."""
        return next(
            (one for one in self.of(user, request.namespace) if one.rule.allows(request)), None
        )

    def lacks(self, user: User, rules: Iterable[Rule], namespace: str) -> list[Rule]:
        """The rules that `user` does not have in full, as singles joined again by their verbs."""
        held = [one.rule for one in self.of(user, namespace)]
        missing: dict[tuple[Any, ...], list[str]] = {}
        for rule in rules:
            for single in rule.singles():
                if not any(each.covers(single) for each in held):
                    key = single.groups, single.resources, single.names, single.paths
                    verbs = missing.setdefault(key, [])
                    verbs += [verb for verb in single.verbs if verb not in verbs]
        return [Rule(tuple(verbs), *key) for key, verbs in missing.items()]


def _subjects(binding: Object) -> list[Object]:
    return binding.get("subjects") or []


def _is_user(subject: Object, user: User, home: str) -> bool:
    name, kind = subject.get("name", ""), subject.get("kind")
    if kind == "User":
        return bool(name == user.name)
    if kind == "Group":
        return name in user.groups
    namespace = subject.get("namespace") or home
    return bool(user.name == f"system:serviceaccount:{namespace}:{name}" and namespace)


def _words(binding: Object, subject: Object, home: str) -> str:
    kind, name = ("RoleBinding" if home else "ClusterRoleBinding"), binding["metadata"]["name"]
    if home:
        name = f"{name}/{home}"
    role = f"{binding['roleRef']['kind']} {_quote(binding['roleRef']['name'])}"
    who = subject["name"]
    if subject["kind"] == "ServiceAccount":
        who = f"{who}/{subject.get('namespace') or home}"
    return f"RBAC: allowed by {kind} {_quote(name)} of {role} to {subject['kind']} {_quote(who)}"


def selects(selector: Object, labels: Mapping[str, str]) -> bool:
    """Whether a LabelSelector chooses an object with these labels."""
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    for term in selector.get("matchExpressions") or ():
        held, operator = labels.get(term["key"]), term["operator"]
        listed = term.get("values") or ()
        is_met = {
            "In": held in listed,
            "NotIn": held not in listed,
            "Exists": held is not None,
            "DoesNotExist": held is None,
        }
        if not is_met.get(operator, False):
            return False
    return True
