"""The flags of certificates that are shared through a Secret."""

from pathlib import Path
from typing import Any

import pytest

from webhook.settings import Settings, SettingsError


def build(tmp_path: Path, **flags: Any) -> Settings:  # noqa: ANN401
    return Settings.build(**{"policies": str(tmp_path), "cluster": "live", **flags})


def test_without_the_flag_certificates_are_in_a_directory(tmp_path: Path) -> None:
    settings = build(tmp_path)

    assert (settings.certs_secret, settings.webhooks) == (None, "podgate")


def test_the_secret_and_the_webhook_objects_are_named(tmp_path: Path) -> None:
    settings = build(tmp_path, certs_secret="podgate-certs", webhooks="podgate-test")

    assert (settings.certs_secret, settings.webhooks) == ("podgate-certs", "podgate-test")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        pytest.param({"certs_secret": "x", "cluster": "."}, "use --cluster live, or --certs DIR", id="no cluster"),
        pytest.param({"certs_secret": "team/x"}, "is no object name", id="a path"),
        pytest.param({"certs_secret": "X"}, "is no object name", id="upper case"),
        pytest.param({"webhooks": ""}, "--webhooks", id="no webhook objects"),
    ],
)
def test_flags_that_cannot_be_meant_are_one_line_with_the_cure(
    tmp_path: Path, flags: dict[str, str], said: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        build(tmp_path, **flags)

    (problem,) = caught.value.problems
    assert said in problem
