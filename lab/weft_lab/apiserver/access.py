"""Lets a request through or refuses it: who asks, as whom, and whether roles allow it.

Keeps the compiled roles until one of them, or a binding, changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from urllib.parse import unquote

from weft_lab.apiserver import auth, rbac, request, selectors, status, store, tokens
from weft_lab.apiserver.cluster import Cluster
from weft_lab.apiserver.rbac import Attributes
from weft_lab.apiserver.resources import Object

_VERBS = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch"}
_WORDS = ("user", "group", "uid", "extra-")
_AS = "impersonate-"
_AS_USER, _AS_GROUP, _AS_UID, _AS_EXTRA = (f"{_AS}{word}" for word in _WORDS)
_ACCOUNT = "system:serviceaccount:"


class Access:
    """Authenticates and authorises requests; `listen` gets each published change."""

    def __init__(self, cluster: Cluster, known: Mapping[str, auth.User], key: bytes) -> None:
        self._cluster = cluster
        self._tokens = known
        self.key = key
        self._grants: rbac.Grants | None = None

    def listen(self, change: store.Change) -> None:
        if change.collection in rbac.TYPES:
            self._grants = None

    @property
    def grants(self) -> rbac.Grants:
        if self._grants is None:
            self._grants = self._compile()
        return self._grants

    def _compile(self) -> rbac.Grants:
        roles, bindings, cluster_roles, cluster_bindings = (
            {key: item.parse() for key, item in self._cluster.store.collection(name).items.items()}
            for name in rbac.TYPES
        )
        by_namespace: dict[str, list[Object]] = {}
        for (namespace, _), binding in sorted(bindings.items()):
            by_namespace.setdefault(namespace, []).append(binding)
        return rbac.Grants(
            {name: role for (_, name), role in cluster_roles.items()},
            roles,
            [binding for _, binding in sorted(cluster_bindings.items())],
            by_namespace,
        )

    def known(self, token: str, now: float) -> auth.User | None:
        return self._tokens.get(token) or self.signed(token, now)

    def signed(self, token: str, now: float) -> auth.User | None:
        claims = tokens.read(self.key, token, now)
        return None if claims is None else tokens.user_of(claims, self._exists)

    def _exists(self, plural: str, namespace: str, name: str, uid: str) -> bool:
        item = self._cluster.store.collection(plural).items.get((namespace, name))
        return item is not None and item.uid == uid

    def user(self, headers: list[tuple[str, str]], now: float) -> auth.User:
        """The user of a request, or the one that it impersonates with the right to."""
        lowered = [(name.lower(), value) for name, value in headers]
        given = next((value for name, value in lowered if name == "authorization"), None)
        user = auth.identify(self._tokens, given, lambda token: self.signed(token, now))
        impersonation = [(name, value) for name, value in lowered if name.startswith(_AS)]
        return self._impersonated(user, impersonation) if impersonation else user

    def _impersonated(self, user: auth.User, headers: list[tuple[str, str]]) -> auth.User:
        name = next((value for key, value in headers if key == _AS_USER), "")
        uid = next((value for key, value in headers if key == _AS_UID), "")
        groups = tuple(value for key, value in headers if key == _AS_GROUP)
        extra: dict[str, tuple[str, ...]] = {}
        for key, value in headers:
            if key.startswith(_AS_EXTRA):
                word = unquote(key.removeprefix(_AS_EXTRA))
                extra[word] = (*extra.get(word, ()), value)
        if not name:
            raise status.internal(
                f"invalid impersonation headers: {dict(headers)}, no user is named"
            )
        self._check_may_be(user, name, groups, uid, extra)
        if not groups and name.startswith(_ACCOUNT):
            namespace = name.removeprefix(_ACCOUNT).partition(":")[0]
            everybody = "system:serviceaccounts"
            groups = (everybody, f"{everybody}:{namespace}")
        always = auth.UNAUTHENTICATED if name == auth.ANONYMOUS.name else auth.AUTHENTICATED
        if always not in groups and auth.UNAUTHENTICATED not in groups:
            groups = (*groups, always)
        return auth.User(name, uid, groups, extra)

    def _check_may_be(
        self,
        user: auth.User,
        name: str,
        groups: tuple[str, ...],
        uid: str,
        extra: Mapping[str, tuple[str, ...]],
    ) -> None:
        be = Attributes("impersonate")
        if name.startswith(_ACCOUNT):
            namespace, _, account = name.removeprefix(_ACCOUNT).partition(":")
            needed = [replace(be, resource="serviceaccounts", namespace=namespace, name=account)]
        else:
            needed = [replace(be, resource="users", name=name)]
        needed += [replace(be, resource="groups", name=group) for group in groups]
        identity = replace(be, group="authentication.k8s.io")
        needed += [
            replace(identity, resource="userextras", subresource=key, name=value)
            for key, values in extra.items()
            for value in values
        ]
        needed += [replace(identity, resource="uids", name=uid)] if uid else []
        for each in needed:
            self.check(user, each)

    def check(self, user: auth.User, request: Attributes) -> None:
        """Raises Forbidden, in the reference server's words, unless a role allows the request."""
        if self.grants.allows(user, request) is None:
            raise refused(user, request, self.grants.absent(user, request.namespace))


def refused(user: auth.User, request: Attributes, absent: Sequence[str] = ()) -> status.ApiError:
    """absent: what a search for the user's roles did not find."""
    who = f"User {status.quote(user.name)}"
    if request.path:
        message = f"forbidden: {who} cannot {request.verb} path {status.quote(request.path)}"
        return status.ApiError(403, "Forbidden", message, {})
    where = "at the cluster scope"
    if request.namespace:
        where = f"in the namespace {status.quote(request.namespace)}"
    why = (
        f"{who} cannot {request.verb} resource {status.quote(request.full_resource)} in API group"
        f" {status.quote(request.group)} {where}"
    )
    if absent:
        listed = absent[0] if len(absent) == 1 else f"[{', '.join(absent)}]"
        why += f": RBAC: {listed}"
    return status.forbidden(request.group, request.resource, request.name, why)


def attributes(
    method: str, path: str, route: request.Route | None, query: Mapping[str, str]
) -> Attributes:
    """The verb and the resource or path of a request."""
    if route is None:
        return Attributes(method.lower(), path=path)
    verb = _VERBS.get(method, "delete" if method == "DELETE" else method.lower())
    name, namespace = route.name, route.namespace
    if route.plural == "namespaces" and not route.group:
        namespace = route.name
    if verb == "get" and "/watch/" in path:
        verb = "watch"
    elif not name and verb in ("get", "delete"):
        watched = request.flag(query, "watch")
        verb = "deletecollection" if verb == "delete" else "watch" if watched else "list"
        pinned = selectors.exact_field(query.get("fieldSelector", ""), "metadata.name")
        name = pinned or ""
    return Attributes(verb, route.group, route.plural, route.subresource, namespace, name)
