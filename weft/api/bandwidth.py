"""Parses and renders the bandwidth of a NIC.

Three places say it: `bandwidth` of a selection element and of a network's NetConf, in the form of
the multi-network specification (ingressRate, ingressBurst, egressRate, egressBurst), and
Kubernetes' annotations of a pod, which hold for each of its NICs. Ingress is to the pod.
"""

from __future__ import annotations

from collections.abc import Mapping

from weft import errors, model, names
from weft.api.fields import Fields
from weft.decode import quantity

# OVN counts in kilobits. Kubernetes allows the same range in its annotations.
SMALLEST, LARGEST = 1_000, 10**15
ANNOTATIONS = (names.INGRESS_BANDWIDTH, names.EGRESS_BANDWIDTH)
KEYS = ("ingressRate", "ingressBurst", "egressRate", "egressBurst")


def read(outer: Fields) -> model.Bandwidth:
    """The `bandwidth` in an object's fields; problems are in `outer`. A rate of 0 says nothing."""
    fields = outer.nested("bandwidth")
    if fields is None:
        return model.Bandwidth()
    fields.only(*KEYS)
    return model.Bandwidth(_rate(fields, "ingress"), _rate(fields, "egress"))


def _rate(fields: Fields, direction: str) -> model.Rate | None:
    rate, burst = (fields.number(f"{direction}{part}") or 0 for part in ("Rate", "Burst"))
    if burst and not rate:
        rule = f"has no effect without {direction}Rate"
        fields.refuse(f"{direction}Burst", burst, rule, hint=f"set {direction}Rate, or remove it")
        return None
    if rate and not SMALLEST <= rate <= LARGEST:
        rule = f"must be from {SMALLEST} to {LARGEST} bits a second; 0 is no limit"
        fields.refuse(f"{direction}Rate", rate, rule)
        return None
    if not 0 <= burst <= LARGEST:
        rule = f"must be from 0 to {LARGEST} bits"
        fields.refuse(f"{direction}Burst", burst, rule)
        return None
    return model.Rate(rate, burst) if rate else None


def of_pod(subject: str, annotations: Mapping[str, str]) -> model.Bandwidth:
    """What Kubernetes' two annotations of a pod say; raises InvalidInput."""
    return model.Bandwidth(*(_annotated(subject, annotations, each) for each in ANNOTATIONS))


def _annotated(subject: str, annotations: Mapping[str, str], name: str) -> model.Rate | None:
    text = annotations.get(name)
    if not text:
        return None
    try:
        rate = quantity.parse(text)
    except ValueError as error:
        raise errors.InvalidInput(subject, name, text, str(error), hint="such as 10M") from None
    if not SMALLEST <= rate <= LARGEST:
        raise errors.InvalidInput(subject, name, text, "must be from 1k to 1P bits a second")
    return model.Rate(rate)


def render(bandwidth: model.Bandwidth) -> dict[str, int]:
    """The object that `read` reads; empty if nothing is said."""
    found = {}
    for direction, rate in (("ingress", bandwidth.ingress), ("egress", bandwidth.egress)):
        if rate is not None:
            found[f"{direction}Rate"] = rate.rate
            if rate.burst:
                found[f"{direction}Burst"] = rate.burst
    return found
