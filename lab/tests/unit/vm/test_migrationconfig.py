"""KubeVirt's migration settings in a ConfigMap, its defaults, and what the lab refuses."""

from __future__ import annotations

import pytest

from weft_lab.vm import migrationconfig


def of(text: str) -> migrationconfig.Configuration:
    return migrationconfig.of_config_map({"data": {"migrations": text}})


def test_without_settings_kubevirts_defaults_count() -> None:
    known = migrationconfig.of_config_map(None)
    assert (known.parallel, known.parallel_outbound) == (5, 2)
    assert (known.completion_timeout_per_gib, known.progress_timeout) == (150, 150)
    assert known.refused() == ""


def test_settings_are_followed() -> None:
    known = of("{bandwidthPerMigration: 64Mi, progressTimeout: 3, allowAutoConverge: true}")
    assert (known.bandwidth, known.progress_timeout, known.auto_converge) == (64 << 20, 3, True)
    assert known.rendered()["bandwidthPerMigration"] == str(64 << 20)


def test_settings_that_say_what_the_lab_does_anyway_are_no_fault() -> None:
    assert of("{disableTLS: false, unsafeMigrationOverride: false}").refused() == ""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("allowPostCopy: true", "allowPostCopy is not supported"),
        ("allowWorkloadDisruption: true", "allowWorkloadDisruption is not supported"),
        ("bandwithPerMigration: 1Mi", "bandwithPerMigration is not followed by the lab"),
        ("disableTLS: true", "disableTLS is not followed by the lab; remove it"),
        ("allowAutoConverge: 'true'", "allowAutoConverge must be true or false"),
        ("progressTimeout: soon", "progressTimeout must be a whole number"),
        ("bandwidthPerMigration: fast", "bandwidthPerMigration must be a quantity"),
        ("[1]", "must be an object"),
        ("{", "is not YAML"),
        ("[" * 2000, "is not YAML"),
        ("progressTimeout: 2026-13-01", "is not YAML"),
        (" " * 5000 + "x", "is longer than"),
    ],
)
def test_what_cannot_be_followed_is_refused_with_a_reason(text: str, says: str) -> None:
    assert says in of(text).refused()
