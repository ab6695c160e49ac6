"""Differences that stay, each with its reason; one that is not there any more fails the suite."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from lab.tests.conformance.exchange import MISSING, Difference


@dataclass(frozen=True)
class Known:
    """`place` is a pattern over case/step/path; `absent`: only what the lab has not at all."""

    place: str
    why: str
    absent: bool = False

    def covers(self, found: Difference) -> bool:
        if self.absent and found.lab != MISSING:
            return False
        return fnmatchcase(found.place.replace("[", "(").replace("]", ")"), self.place)


_GO = "the words of Go's decoders; the lab says the same of the same field in its own"
_WORDS = "documentation of fields is worded anew in the lab"
_ETCD = "a text of etcd or its client, which the lab does not have"

_CONSTRAINED = "the words of constrained impersonation, which the lab does not have"

_ACCOUNT = "this real server runs without that admission"
_MANAGER = "made in each namespace by the controller manager, which is not there"
_NOT_READY = "taken off by the controller manager, which no lab has"
_MANAGER_ENDS = "the controller manager, which is not there, ends a namespace"
_ACCEPTED = "a definition is accepted as it is made; Kubernetes does so by and by, with writes"
_KUBEVIRT = "KubeVirt's aggregated API, which the lab's own server serves"
_LATE = "the lab follows who owns a field from the first server-side apply on"
_DIRECTIVE = "a faulty directive is the client's error: the lab answers 400, Kubernetes 500"
_POINTER = "RFC 6901: a pointer begins with a slash; Kubernetes drops what stands before it"

WEBHOOKS = (
    Known("hook-allows/*spec/serviceAccount*", _ACCOUNT),
    Known("hook-odd/2/body/*message", _GO),
    Known("hook-error/2/body/*message", _GO),
    Known("hook-absent/2/body/*message", _GO),
    Known("hook-unknown/2/body/*message", _GO),
)

KUBECTL = (
    Known("kubectl-server-side/5/out", _ACCOUNT),
    Known("kubectl-change/27/out", _ACCOUNT),
    Known("kubectl-create/13/out", _ACCOUNT),
    Known("kubectl-create/10/out", _MANAGER),
    Known("kubectl-validation/1/err", _GO),
    Known("kubectl-explain/[0-5]/out", _WORDS),
    Known("kubectl-explain/1[0-6]/out", _WORDS),
)

DIFFERENCES = (
    Known("version/0/body/*", "the lab says that it is no build of Kubernetes"),
    Known("core-versions/0/body/serverAddressByClientCIDRs/0/*", "two servers, two addresses"),
    Known("core-versions/1/body/resources/*", "types that no part of a lab uses", absent=True),
    Known("groups/0/body/groups/*", "types that no part of a lab uses", absent=True),
    Known("aggregated/?/body/items/*", "types that no part of a lab uses", absent=True),
    Known("groups/0/body/groups/(subresources.kubevirt.io)", _KUBEVIRT),
    Known("aggregated/1/body/items/(subresources.kubevirt.io)", _KUBEVIRT),
    Known(
        "group-apiextensions/1/body/resources/(customresourcedefinitions)/storageVersionHash",
        "the lab's own: a change of this hash tells clients of nothing that they use",
    ),
    Known("pages/10/body/message", "what a token holds is each server's own affair"),
    Known(
        "list-revisions/12/*",
        "the lab answers every read from its newest state, and does not read what is asked here",
    ),
    Known("forms/*/columnDefinitions/*/description", _WORDS),
    Known("a-role/*/columnDefinitions/*/description", _WORDS),
    Known("watch-*/columnDefinitions/*/description", _WORDS),
    Known("policy-objects/*/columnDefinitions/*/description", _WORDS),
    Known("read-*/columnDefinitions/*/description", _WORDS),
    Known("read-pods/*spec/serviceAccount*", _ACCOUNT),
    Known("read-*/14/body/metadata/continue", "the lab knows that no other object matches"),
    Known("read-namespaces/2[34]/body", _MANAGER_ENDS),
    Known("*-customresourcedefinitions/[01]/body/status/*", _ACCEPTED),
    Known("read-customresourcedefinitions/2[34]/body", _ACCEPTED),
    Known("applied-customresourcedefinitions/*/metadata/managedFields", _ACCEPTED),
    Known("*-nodes/*/spec/taints", _NOT_READY),
    Known("policy-objects/6/body/resources/*", "types that no part of a lab uses", absent=True),
    Known("watch-revisions/20/body/*", "protobuf and YAML are not written by the lab"),
    Known("watch-initial/13/body/2/*", "a bookmark in a table has a row of nothing"),
    Known("impersonation/5/body/*", _CONSTRAINED),
    Known("impersonation/6/body/*", _CONSTRAINED),
    Known("accept/2/body/*", "protobuf and YAML are not written by the lab"),
    Known("accept/?/body/*", "protobuf and YAML are not written by the lab"),
    Known("accept/7/headers/content-type/0", "JSON is the lab's YAML"),
    Known("accept/7/body", "JSON is the lab's YAML"),
    Known("write-*/7/body/*message", f"{_GO}, and of a patch, not of its result"),
    Known("write-*/9/body/*message", f"{_GO}, and of a patch, not of its result"),
    Known("write-*/23/body/message", _GO),
    Known("pod-deletes/*/serviceAccount*", _ACCOUNT),
    Known("policy-refuses/*spec/serviceAccount*", _ACCOUNT),
    Known("watch-selectors/*spec/serviceAccount*", _ACCOUNT),
    Known("forms/*spec/serviceAccount*", _ACCOUNT),
    Known("patch-*spec/serviceAccount*", _ACCOUNT),
    Known("apply-*spec/serviceAccount*", _ACCOUNT),
    Known("write-pods-x/*spec/serviceAccount*", _ACCOUNT),
    Known(
        "write-serviceaccounts-x/*/body/items/(default)",
        _MANAGER,
    ),
    Known(
        "write-events-new/14/*",
        "one stored form serves both groups of events, with the rules of the older one",
    ),
    Known("metadata-*/2/body/*", "a long value is shortened in the lab's messages"),
    Known("metadata-*/8/body/message", _GO),
    Known("metadata-*/14/body/message", _GO),
    Known("metadata-*/15/body/message", _GO),
    Known("metadata-*/17/body/message", _GO),
    Known("metadata-*/32/body/message", _GO),
    Known("metadata-*/33/body/message", _GO),
    Known("namespaces/9/*", _MANAGER_ENDS),
    Known("nodes/0/body/spec/taints", _NOT_READY),
    Known("nodes/?/body/spec/taints", _NOT_READY),
    Known("conflicts/?/body/message", _ETCD),
    Known("conflicts/2/*", _ETCD),
    Known("deletes/*/body/message", _GO),
    Known("deletes/20/*", _GO),
    Known("deletes/18/*", "the lab reads options of a deletion whatever kind they name"),
    Known("apply-after-writes/?/body/*", _LATE),
    Known("apply-refused/11/body/message", _GO),
    Known("apply-refused/12/body/message", _GO),
    Known("apply-refused/16/body/message", _GO),
    Known("apply-refused/19/headers/warning/0", _GO),
    Known("patch-operations/22/*", _POINTER),
    Known("patch-operations/24/body/*message", _GO),
    Known("patch-operations/43/*", _GO),
    Known("patch-merges/15/body/*message", _GO),
    Known("patch-node/?/body/spec/taints", _NOT_READY),
    Known("patch-owners/7/*", _DIRECTIVE),
    Known("patch-pod/4/*", _DIRECTIVE),
    Known("patch-pod/8/body/*message", _GO),
    Known("patch-pod/9/body/*message", _GO),
    Known("patch-pod/29/body/*message", _GO),
    Known("patch-pod/1[03457]/body/*", _DIRECTIVE),
    Known("patch-pod/1[03457]/code", _DIRECTIVE),
    Known("patch-pod/33/*", _DIRECTIVE),
    Known("patch-pod/35/body/message", _DIRECTIVE),
    Known("patch-media/?/body/details", _GO),
    Known("patch-media/?/body/message", _GO),
    Known("bodies/0/body/message", _GO),
    Known("bodies/1/body/message", _GO),
    Known("bodies/2/*", "nothing is no object in the lab"),
    Known("bodies/3/body/message", _GO),
    Known("bodies/4/body/message", _GO),
    Known("bodies/5/body/message", _GO),
    Known("bodies/9/body/message", _GO),
    Known("bodies/10/body/message", "protobuf is read by the lab, and not advertised"),
    Known("bodies/19/*", _ETCD),
)

OPENAPI = (
    Known("index/*", "documents of types that no lab uses, and of discovery itself", absent=True),
    Known(
        "*.DeleteOptions/x-kubernetes-group-version-kind",
        "each group adds itself, those that no lab has, too",
    ),
)


def unlisted(found: Iterable[Difference], listed: tuple[Known, ...]) -> list[Difference]:
    return [one for one in found if not any(each.covers(one) for each in listed)]


def gone(found: Iterable[Difference], listed: tuple[Known, ...]) -> list[Known]:
    """What is listed, and not there any more."""
    seen = list(found)
    return [each for each in listed if not any(each.covers(one) for one in seen)]
