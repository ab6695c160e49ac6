"""A cluster manager's key, and pods that it signed."""

from __future__ import annotations

import copy
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from weft import model, names
from weft.api import podnetworks, podsignature


class Notary:
    def __init__(self) -> None:
        self.signer = podsignature.Signer(Ed25519PrivateKey.generate())
        self.public = {self.signer.id: self.signer.public}

    def sign(self, pod: dict[str, Any]) -> dict[str, Any]:
        """The pod with a signature of all that its annotation says."""
        pod = copy.deepcopy(pod)
        meta = pod["metadata"]
        allocations = podnetworks.parse(pod, primary=True)
        ref = model.PodRef(model.ObjectKey(meta["namespace"], meta["name"]), meta["uid"])
        meta["annotations"][names.POD_NETWORKS_SIGNATURE] = self.signer.sign(ref, allocations)
        return pod
