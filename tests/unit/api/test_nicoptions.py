from __future__ import annotations

import json
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.objects import pod
from weft import errors, model, names
from weft.api import nicoptions, selection
from weft.api.fields import Fields

PAIR = model.AddressPair(ip_network("10.1.0.100"), "00:00:5e:00:01:0a")
OPTIONS = st.builds(
    model.NicOptions,
    st.builds(model.Bandwidth, st.none() | st.builds(model.Rate, st.integers(1000, 10**9))),
    st.none() | st.sampled_from(model.PortSecurity),
    st.lists(
        st.builds(model.AddressPair, st.just(ip_network("fd00:1::/120")), st.just("")),
        max_size=1,
    ).map(tuple),
)


def fields(raw: dict[str, object]) -> Fields:
    return Fields("Pod shop/web", "", raw, [])


@given(OPTIONS)
def test_what_is_rendered_is_read(one: model.NicOptions) -> None:
    reader = fields({key: value for key, value in nicoptions.render(one).items() if value})
    assert nicoptions.read(reader) == one
    assert not reader.problems


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        ({"portSecurity": "none"}, 'portSecurity "none": must be one of strict, mac, off'),
        ({"allowedAddressPairs": [{"mac": "02:00:00:00:00:01"}]}, "ip: is missing"),
        ({"allowedAddressPairs": [{"ip": "10.1"}]}, "must be an address such as"),
        ({"allowedAddressPairs": [{"ip": "10.1.0.1", "mac": "x"}]}, "must be a MAC address"),
        ({"allowedAddressPairs": [{"ip": "10.1.0.1", "to": 1}]}, "is not a field here"),
        ({"allowedAddressPairs": [{"ip": "10.1.0.1"}] * 17}, "a NIC can have 16"),
    ],
)
def test_what_breaks_a_rule_is_named(raw: dict[str, object], problem: str) -> None:
    reader = fields(raw)
    nicoptions.read(reader)
    assert problem in str(reader.problems[0])


def test_a_network_permits_a_level_and_ranges() -> None:
    raw: dict[str, object] = {
        "permits": {"portSecurity": "mac", "allowedAddressPairs": ["10.1.0.96/28"]}
    }
    expected = model.Permits(model.PortSecurity.MAC, (ip_network("10.1.0.96/28"),))
    assert nicoptions.permits(fields(raw)) == expected
    assert nicoptions.permits(fields({})) == model.Permits()


def test_an_elements_own_words_stand_over_the_pods() -> None:
    element = {"name": "blue", "cni-args": {"portSecurity": "mac"}}
    obj = pod("web", [element, {"name": "red"}])
    obj["metadata"]["annotations"] |= {
        names.NIC_OPTIONS: json.dumps(
            {
                "blue": {
                    "portSecurity": "off",
                    "allowedAddressPairs": [{"ip": "10.1.0.100", "mac": PAIR.mac}],
                },
                "default/red": {"bandwidth": {"egressRate": 5000}},
            }
        ),
        names.EGRESS_BANDWIDTH: "1M",
    }
    blue, red = selection.parse(obj)
    assert blue.nic == model.NicOptions(
        model.Bandwidth(egress=model.Rate(10**6)), model.PortSecurity.MAC, (PAIR,)
    )
    assert red.nic == model.NicOptions(model.Bandwidth(egress=model.Rate(5000)))


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ('{"green": {}}', "does not name"),
        ('{"blue": {"portSecurty": "off"}}', "portSecurty: is not a field here"),
        ("[]", "must hold a JSON object"),
        ("{", "is not valid JSON"),
    ],
)
def test_options_of_no_nic_are_refused(text: str, rule: str) -> None:
    obj = pod("web", "blue")
    obj["metadata"]["annotations"][names.NIC_OPTIONS] = text
    with pytest.raises(errors.InvalidInput, match=rule):
        selection.parse(obj)
