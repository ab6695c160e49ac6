"""Parses a pod's selection annotations: its networks, and what it requests on each.

Both forms of the multi-network specification are read: the short one,
`[namespace/]name[@interface], ...`, and the JSON list. The same forms are read from Multus'
`v1.multus-cni.io/default-network`, for the pod's first interface. `weft.alloc` decides whether
the requests can be met.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace

from weft import errors, model, names
from weft.api import bandwidth, nicoptions, notation, objects
from weft.api.fields import Fields, decode, kind_of
from weft.model import ObjectKey

KIND = "Pod"

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_INTERFACE = re.compile(r"[!-~]{1,15}")  # printable ASCII, at most Linux' IFNAMSIZ - 1
_TAKEN_INTERFACES = {
    "lo": "the loopback interface",
    names.DEFAULT_INTERFACE: "the pod's default interface",
}
# The namespace in which Multus looks for a default-network that names none.
_MULTUS_NAMESPACE = "kube-system"
_OWN = model.Attachment(nad=None, key=names.DEFAULT_NETWORK, interface=names.DEFAULT_INTERFACE)
# More NICs than a VM has slots. Without a limit one pod could take all addresses of a network.
MAX_ATTACHMENTS = 32
MAX_ADDRESSES = 32


def parse(pod: object, *, primary: bool = False) -> tuple[model.Attachment, ...]:
    """The attachments that `pod` requests, in order; raises the first problem.

    The first interface comes first: on the network that the pod chose for it, else on the default
    network if weft serves it (`primary`); that attachment has no `nad`.
    """
    attachments, found = _read(pod, primary)
    if found:
        raise found[0]
    return attachments


def problems(pod: object) -> list[errors.InvalidInput]:
    """All problems in the selection annotations of `pod`."""
    return _read(pod, False)[1]


def _read(
    pod: object, primary: bool
) -> tuple[tuple[model.Attachment, ...], list[errors.InvalidInput]]:
    found: list[errors.InvalidInput] = []
    try:
        chosen = list(_elements(pod, names.CHOSEN_DEFAULT, found))
        elements = list(_elements(pod, names.NETWORKS, found))
    except errors.InvalidInput as error:
        return (), [error]
    namespace = objects.key(pod)[0]
    requests = [_attachment(element, f"net{n}", namespace) for n, element in enumerate(elements, 1)]
    _refuse_duplicates(elements, requests)
    _refuse_many_default_routes(elements, requests)
    own = [_OWN] if primary else []
    asked = _keyed([*([_first(chosen)] if chosen else own), *requests])
    return _with_pods_options(pod, asked, found), found


def _with_pods_options(
    pod: object, requests: tuple[model.Attachment, ...], found: list[errors.InvalidInput]
) -> tuple[model.Attachment, ...]:
    """The attachments with what other annotations of the pod say where theirs says nothing."""
    subject, namespace = objects.subject(KIND, pod), objects.key(pod)[0]
    try:
        annotations = {name: objects.annotation(KIND, pod, name) for name in bandwidth.ANNOTATIONS}
        of_pod = model.NicOptions(bandwidth.of_pod(subject, annotations))
        text = objects.annotation(KIND, pod, names.NIC_OPTIONS)
        of_nads = nicoptions.of_nads(subject, text, namespace, found)
    except errors.InvalidInput as error:
        found.append(error)
        return requests
    unused = of_nads.keys() - {each.nad for each in requests}
    for nad in sorted(unused):
        rule = f"is for {nad}, which {names.NETWORKS} does not name"
        hint = "correct the name, or remove it"
        found.append(errors.InvalidInput(subject, names.NIC_OPTIONS, None, rule, hint=hint))
    if not of_nads and of_pod == model.NO_OPTIONS:
        return requests
    nothing = model.NO_OPTIONS
    return tuple(
        replace(
            each,
            nic=nicoptions.over(
                each.nic,
                nicoptions.over(of_nads.get(each.nad, nothing) if each.nad else nothing, of_pod),
            ),
        )
        for each in requests
    )


def _first(chosen: list[Fields]) -> model.Attachment:
    """The one element of a default-network; it names the first interface whatever it contains."""
    for element in chosen[1:]:
        rule = "is a second network; a pod has one default network"
        element.refuse("name", element.text("name"), rule, hint="name one")
    one = chosen[0]
    kept = {name: value for name, value in one.raw.items() if name.lower() != "interface"}
    element = Fields(one.subject, one.path, kept, one.problems)
    return _attachment(element, names.DEFAULT_INTERFACE, _MULTUS_NAMESPACE)


def _elements(pod: object, name: str, found: list[errors.InvalidInput]) -> Iterator[Fields]:
    """Each element of the annotation as fields, in either form."""
    text = objects.annotation(KIND, pod, name).strip()
    if not text:
        return
    subject = objects.subject(KIND, pod)
    items: list[object]
    if any(mark in text for mark in '[{"'):
        listed = decode(subject, name, text)
        if not isinstance(listed, list):
            rule = f"must be a list of objects, not {kind_of(listed)}"
            hint = "put the object into [ ]" if isinstance(listed, Mapping) else ""
            raise errors.InvalidInput(subject, name, listed, rule, hint=hint)
        items = listed
    else:
        _check_count(subject, name, text.count(",") + 1)
        parts = enumerate(text.split(","))
        items = [_short(subject, f"{name}[{index}]", part) for index, part in parts]
    _check_count(subject, name, len(items))
    for index, item in enumerate(items):
        path = f"{name}[{index}]"
        if not isinstance(item, Mapping):
            rule = f"must be an object, not {kind_of(item)}"
            raise errors.InvalidInput(subject, path, item, rule)
        yield Fields(subject, path, item, found)


def _check_count(subject: str, name: str, count: int) -> None:
    """Refuse too many elements before any is read, which bounds the work."""
    if count > MAX_ATTACHMENTS:
        rule = f"names {count} networks; a pod can have {MAX_ATTACHMENTS}"
        hint = "name fewer, or spread them over several pods"
        raise errors.InvalidInput(subject, name, None, rule, hint=hint)


def _short(subject: str, field: str, part: str) -> dict[str, object]:
    """`[namespace/]name[@interface]` as the equivalent JSON element."""
    where, at, interface = part.strip().partition("@")
    namespace, slash, name = where.rpartition("/")
    if not name or "/" in namespace or (slash and not namespace) or (at and not interface.strip()):
        rule = "must have the form [namespace/]name[@interface]"
        hint = "remove the extra comma" if not part.strip() else ""
        raise errors.InvalidInput(subject, field, part.strip(), rule, hint=hint)
    element: dict[str, object] = {"name": name.strip()}
    if slash:
        element["namespace"] = namespace.strip()
    if at:
        element["interface"] = interface.strip()
    return element


def _attachment(fields: Fields, interface: str, pod_namespace: str) -> model.Attachment:
    """One attachment; its interface is `interface` by default, its key still the NAD's name."""
    nad = ObjectKey(_namespace(fields, pod_namespace), _nad_name(fields))
    claim = fields.text("ipam-claim-reference")
    addresses = requested_addresses(fields)
    if claim and addresses:
        rule = "is set beside ips; a claim has its own addresses"
        fields.refuse("ipam-claim-reference", claim, rule, hint="remove one of the two")
    elif claim and not _NAME.fullmatch(claim):
        fields.refuse("ipam-claim-reference", claim, "must be the name of an IPAMClaim")
    _check_unused(fields)
    name = _interface(fields)
    return model.Attachment(
        nad=nad,
        key=str(nad),
        interface=name or interface,
        mac=requested_mac(fields),
        addresses=addresses,
        default_route=_gateways(fields),
        ipam_claim=claim,
        nic=_nic(fields),
        by_place=not name and interface != names.DEFAULT_INTERFACE,
    )


def _nad_name(fields: Fields) -> str:
    name = fields.text("name")
    if fields.missing("name"):
        rule = "is missing or empty"
        fields.refuse("name", None, rule, hint="name a NetworkAttachmentDefinition")
    elif "/" in name:
        hint = "give the namespace in its own field, namespace"
        fields.refuse("name", name, "must not contain a '/'", hint=hint)
    elif name and not _NAME.fullmatch(name):
        rule = "must be a Kubernetes name: small letters, digits, '-' and '.'"
        fields.refuse("name", name, rule)
    return name


def _namespace(fields: Fields, pod_namespace: str) -> str:
    namespace = fields.text("namespace")
    if namespace and not _LABEL.fullmatch(namespace):
        rule = "must be a namespace: small letters, digits and '-', at most 63"
        fields.refuse("namespace", namespace, rule)
    return namespace or pod_namespace


def _interface(fields: Fields) -> str:
    name = fields.text("interface")
    if not name:
        return ""
    if len(name) > 15:
        rule = f"has {len(name)} characters; Linux allows 15"
        fields.refuse("interface", name, rule, hint="choose a shorter name")
    elif (
        not _INTERFACE.fullmatch(name) or any(mark in name for mark in "/:%") or name in (".", "..")
    ):
        rule = "must be an interface name: printable, without blanks, '/', ':' or '%'"
        fields.refuse("interface", name, rule)
    elif name in _TAKEN_INTERFACES:
        rule = f"is {_TAKEN_INTERFACES[name]} already"
        fields.refuse("interface", name, rule, hint="choose another name, such as net1")
    return name


def requested_mac(fields: Fields) -> str:
    """The MAC that an element requests, "" if none; a problem is added to those of `fields`."""
    text = fields.text("mac")
    if not text:
        return ""
    try:
        return notation.mac(text)
    except ValueError as error:
        fields.refuse("mac", text, str(error))
        return ""


def requested_addresses(fields: Fields) -> tuple[model.Interface | model.Address, ...]:
    """The addresses that an element requests; problems are added to those of `fields`."""
    found: dict[model.Address, model.Interface | model.Address] = {}
    requested = list(fields.strings("ips"))
    if len(requested) > MAX_ADDRESSES:
        rule = f"has {len(requested)} addresses; an interface can have {MAX_ADDRESSES}"
        fields.refuse("ips", None, rule, hint="request fewer")
        return ()
    for place, text in requested:
        try:
            request = notation.interface(text) if "/" in text else notation.address(text)
        except ValueError as error:
            fields.refuse(place, text, str(error))
            continue
        address = without_prefix(request)
        if address in found:
            fields.refuse(place, text, "is requested twice", hint="remove one of them")
        found[address] = request
    return tuple(found.values())


def without_prefix(request: model.Interface | model.Address) -> model.Address:
    """The address without its prefix length."""
    return getattr(request, "ip", request)


def _gateways(fields: Fields) -> tuple[model.Address, ...]:
    return tuple(fields.each(fields.strings("default-route"), notation.gateway))


def _nic(fields: Fields) -> model.NicOptions:
    """`bandwidth`, and what the specification has no field for in `cni-args`."""
    given = model.NicOptions(bandwidth.read(fields))
    args = fields.nested("cni-args")
    return given if args is None else nicoptions.over(given, nicoptions.read(args))


def _check_unused(fields: Fields) -> None:
    """Check the types of fields for other programs, whose errors would come later."""
    fields.expect({"infiniband-guid": str, "deviceID": str, "portMappings": list})


def _refuse_duplicates(elements: list[Fields], requests: list[model.Attachment]) -> None:
    """Refuse two interfaces with one name; equal MACs may be on different networks."""
    first: dict[str, int] = {}
    for index, request in enumerate(requests):
        if request.interface in first:
            rule = f"is that of element {first[request.interface]} already"
            if not elements[index].has("interface"):
                rule += f"; an element that names none is called net{index + 1}"
            elements[index].refuse("interface", request.interface, rule, hint="rename one of them")
        first.setdefault(request.interface, index)


def _refuse_many_default_routes(elements: list[Fields], requests: list[model.Attachment]) -> None:
    asking = [index for index, request in enumerate(requests) if request.default_route]
    for index in asking[1:]:
        rule = f"is requested by element {asking[0]} already; only one element may do so"
        value = [str(address) for address in requests[index].default_route]
        elements[index].refuse("default-route", value, rule, hint="keep it in one element")


def _keyed(requests: list[model.Attachment]) -> tuple[model.Attachment, ...]:
    """Give the n-th repetition of a NAD the key <nad>/<n>."""
    seen: Counter[ObjectKey | None] = Counter()
    keyed = []
    for request in requests:
        repetition = seen[request.nad]
        seen[request.nad] += 1
        keyed.append(replace(request, key=f"{request.nad}/{repetition}") if repetition else request)
    return tuple(keyed)
