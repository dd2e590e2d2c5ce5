"""What the webhook objects have to say, and what is told of those that say less."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from webhook.kube.webhook_rules import REQUIRED, problems

BASE = Path(__file__).parents[2] / "manifests/base"
FILES = {
    "mutatingwebhookconfigurations": "mutating-webhook.yaml",
    "validatingwebhookconfigurations": "validating-webhook.yaml",
}
MUTATING, VALIDATING = FILES


def shipped(resource: str) -> dict[str, Any]:
    """Return the object of the base, with the bundles that it gets in a cluster."""
    document: dict[str, Any] = yaml.safe_load((BASE / FILES[resource]).read_text())
    for entry in document["webhooks"]:
        entry["clientConfig"]["caBundle"] = "Li4u"
    return document


@pytest.mark.parametrize("resource", list(REQUIRED))
def test_the_shipped_objects_are_complete(resource: str) -> None:
    assert problems(resource, "podgate", shipped(resource)) == []


@pytest.mark.parametrize("resource", list(REQUIRED))
def test_every_rule_of_the_shipped_objects_is_required(resource: str) -> None:
    whole = shipped(resource)
    for number, entry in enumerate(whole["webhooks"]):
        for at, rule in enumerate(entry["rules"]):
            for name in rule["resources"]:
                for operation in rule["operations"]:
                    cut = copy.deepcopy(whole)
                    kept = cut["webhooks"][number]["rules"][at]
                    others = [each for each in rule["resources"] if each != name]
                    less = {
                        **rule,
                        "resources": [name],
                        "operations": [o for o in rule["operations"] if o != operation],
                    }
                    cut["webhooks"][number]["rules"][at : at + 1] = [{**kept, "resources": others}, less]
                    (line,) = problems(resource, "podgate", cut)
                    assert f"for {operation} {name};" in line


def test_an_object_that_is_missing_is_told_with_what_it_means() -> None:
    (line,) = problems(MUTATING, "podgate", None)
    assert line.startswith("mutatingwebhookconfigurations/podgate is missing, so pods are not changed")
    (line,) = problems(VALIDATING, "podgate", None)
    assert "so nothing is refused; apply the manifests" in line


def one_call_for_both_halves(document: dict[str, Any]) -> None:
    rules = [rule for entry in document["webhooks"] for rule in entry["rules"]]
    entry = copy.deepcopy(document["webhooks"][0])
    entry["clientConfig"]["service"]["path"] = "/validate"
    entry["rules"] = rules
    document["webhooks"] = [entry]


def wildcards(document: dict[str, Any]) -> None:
    for entry in document["webhooks"]:
        entry["rules"] = [
            {"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*", "*/*"], "scope": "*"}
        ]


def by_address(document: dict[str, Any]) -> None:
    for entry in document["webhooks"]:
        path = entry["clientConfig"]["service"]["path"]
        entry["clientConfig"] = {"url": f"https://podgate.example:8443{path}?x=1"}


def fewer_namespaces(document: dict[str, Any]) -> None:
    for entry in document["webhooks"]:
        entry["namespaceSelector"]["matchExpressions"][0]["values"].append("build")
        entry["objectSelector"] = {}
        entry["failurePolicy"] = "Fail"


@pytest.mark.parametrize("edit", [one_call_for_both_halves, wildcards, by_address, fewer_namespaces])
def test_other_objects_that_ask_everything_are_complete(edit: Callable[[dict[str, Any]], None]) -> None:
    document = shipped(VALIDATING)
    edit(document)
    assert problems(VALIDATING, "podgate", document) == []


def no_entries(document: dict[str, Any]) -> None:
    document["webhooks"] = None


def no_security(document: dict[str, Any]) -> None:
    document["webhooks"] = [each for each in document["webhooks"] if "cost" in each["name"]]


def no_bundle(document: dict[str, Any]) -> None:
    document["webhooks"][1]["clientConfig"]["caBundle"] = ""


def selected(document: dict[str, Any]) -> None:
    document["webhooks"][0]["objectSelector"] = {"matchLabels": {"guarded": "yes"}}


def conditional(document: dict[str, Any]) -> None:
    document["webhooks"][0]["matchConditions"] = [{"name": "a", "expression": "false"}]


def other_version(document: dict[str, Any]) -> None:
    for entry in document["webhooks"]:
        for rule in entry["rules"]:
            rule["apiVersions"] = ["v1beta1"]


def subresources_only(document: dict[str, Any]) -> None:
    for entry in document["webhooks"]:
        for rule in entry["rules"]:
            rule["resources"] = ["*/*x", "pods/*"]


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (no_entries, "does not call /validate/cost for CREATE pods, UPDATE pods, UPDATE pods/resize"),
        (no_security, "does not call /validate/security for CREATE pods"),
        (no_bundle, "entry security.podgate.dev has no caBundle"),
        (selected, "entry cost.podgate.dev has an objectSelector"),
        (conditional, "entry cost.podgate.dev has matchConditions"),
        (other_version, "does not call /validate/cost"),
        (subresources_only, "does not call /validate/security for CREATE pods"),
    ],
)
def test_an_object_that_asks_less_is_told_in_one_line_with_the_cure(
    edit: Callable[[dict[str, Any]], None], words: str
) -> None:
    document = shipped(VALIDATING)
    edit(document)
    lines = problems(VALIDATING, "podgate", document)
    assert any(words in line for line in lines), lines
    assert all("\n" not in line and ("; " in line or ", so " in line) for line in lines)


@pytest.mark.parametrize(
    "webhooks", ["text", [1, None], [{"rules": "x"}], [{"clientConfig": [], "rules": [{"resources": None}]}]]
)
def test_an_object_of_any_shape_is_told(webhooks: object) -> None:
    assert problems(MUTATING, "podgate", {"webhooks": webhooks})
