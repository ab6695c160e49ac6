"""What a process that verifies signatures counts of them."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from weft import model
from weft.api import podnetworks, podsignature
from weft.control import decisions
from weft.model import ObjectKey


def test_a_serial_that_counted_what_one_pod_lost_counts_no_loss_of_all() -> None:
    """As managers signed before they counted those of the whole cluster: 1, 2, 3 (ADR 0119)."""
    signer = podsignature.Signer(Ed25519PrivateKey.generate())
    pod = model.PodRef(ObjectKey("default", "one"), "uid-one")
    allocations = {"default/blue": model.Allocation("0a:58:0a:01:00:05")}
    text = podnetworks.render(allocations)
    known = decisions.Decisions()
    known.trusted = podsignature.TrustedKeys.parse({signer.id: signer.public})
    known.read(pod, (text, signer.sign(pod, allocations, serial=3)))
    assert known.losses == 0
    known.read(pod, (text, signer.sign(pod, allocations, serial=2 * decisions.LOSS)))
    assert known.losses == 2, "the control"
