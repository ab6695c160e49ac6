"""Holds the key that signs allocations and those that verify them, and decides what is published.

Pure. The private key is in a Secret, the public keys are in a ConfigMap that nobody else may write
(ADR 0060); `signing.py` reads or makes the private key.
"""

from __future__ import annotations

from dataclasses import dataclass

from weft import names
from weft.api.podsignature import SignedAllocations, Signer, TrustedKeys
from weft.control.cluster.outcome import Outcome, Patch, Ref, Subject
from weft.control.decisions import Decisions
from weft.control.endpointsmark import ENDPOINTS, WRITTEN
from weft.kube import resources
from weft.model import ObjectKey

ADOPT = "adopt"  # key of the Secret's data: while it is there, unsigned pods are signed


@dataclass(frozen=True, slots=True)
class Held:
    """The private key of one manager's run, from a Secret in `namespace`.

    `adopt_before` (RFC 3339; "" for none): pods made before it are older than signatures.
    """

    signer: Signer
    namespace: str = "default"
    adopt_before: str = ""


class SigningKeys:
    """The keys. `decisions` verifies with this manager's own and the published ones.

    `due`: the objects to decide, and after how many seconds.
    """

    def __init__(self, held: Held) -> None:
        self._held = held
        self.signer, self.adopt_before = held.signer, held.adopt_before
        self.decisions = Decisions()
        self._published = TrustedKeys()
        self._has_endpoints = False  # whether the ConfigMap says so
        self._are_endpoints_written: bool | None = None  # None: not known yet
        self._is_adopting = bool(held.adopt_before)
        self.due: dict[Ref, float] = {}
        self.set(TrustedKeys())

    def _ref(self, resource: resources.Resource, name: str) -> Ref:
        return Ref(resource, ObjectKey(self._held.namespace, name))

    def set(self, published: TrustedKeys, *, has_endpoints: bool = False) -> bool:
        """Sets what the ConfigMap says; returns whether the trusted keys changed."""
        self._published, self._has_endpoints = published, has_endpoints
        self._check()
        trusted = published | TrustedKeys.parse({self.signer.id: self.signer.public})
        if trusted == self.decisions.trusted:
            return False
        self.decisions.trusted = trusted
        return True

    def publish_endpoints(self, *, are_written: bool) -> None:
        """Says in the ConfigMap whether all PodEndpoints are written; until then it stays."""
        self._are_endpoints_written = are_written
        self._check()

    def _check(self) -> None:
        if self._missing():
            self.due[self._ref(resources.CONFIGMAPS, names.SIGNING_KEYS)] = 0.0

    def _missing(self) -> dict[str, str | None]:
        """Returns the entries of the ConfigMap to write; None for one to remove."""
        missing: dict[str, str | None] = {}
        if self.signer.id not in self._published:
            missing[self.signer.id] = self.signer.public
        if self._are_endpoints_written not in (None, self._has_endpoints):
            missing[ENDPOINTS] = WRITTEN if self._are_endpoints_written else None
        return missing

    def is_current(self, decided: SignedAllocations) -> bool:
        """Whether allocations are signed with this manager's own key."""
        return decided.by == self.signer.id

    def end_adoption(self) -> None:
        """Ends the adoption of unsigned pods: from now on only signed allocations count."""
        if self._is_adopting:
            self._is_adopting = False
            self.due[self._ref(resources.SECRETS, names.SIGNING_KEY)] = 0.0

    def decide(self, ref: Ref) -> Outcome:
        """Returns the patch of the ConfigMap of public keys, or of the Secret."""
        about = Subject(ref.resource, ref.key, "")
        if ref.resource is resources.SECRETS:
            return Outcome((Patch(about, data={ADOPT: None}),))
        if not (missing := self._missing()):
            return Outcome()
        return Outcome((Patch(about, data=missing, creates=True),))
