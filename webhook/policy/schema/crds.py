"""CustomResourceDefinitions of the policy kinds, made from the same models as everything else.

The API server refuses what it can: types, bounds, words and forms by the schema, and rules across fields by those that
the models have in CEL. The loader judges everything again. Schemas are structural and keep no field that they do not
know: strict clients (kubectl, server-side apply) are told of a misspelt one, others get a warning and the field is
dropped.

Defaults are written only for columns that `kubectl get` shows. The API server stores them, and "not said" becomes
"said": for these fields both mean the same.

``python -m webhook.policy.schema.crds DIR`` writes one file per kind.
"""

import copy
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from webhook.policy.loading import versions
from webhook.policy.model import discovery
from webhook.policy.model.envelope import API_VERSION
from webhook.policy.model.sections import RULES_KEY, ApiRule
from webhook.policy.schema import json_schema
from webhook.policy.schema.json_schema import JsonSchema
from webhook.policy.schema.structural import structural

GROUP, _, VERSION = API_VERSION.partition("/")

_PLURALS: Final[Mapping[str, str]] = {"GuardrailPolicy": "guardrailpolicies"}
_COLUMNS: Final[Mapping[str, tuple[tuple[str, str, str], ...]]] = {
    "GuardrailPolicy": (("Mode", "string", ".spec.mode"), ("Priority", "integer", ".spec.priority")),
    "Budget": (
        ("Mode", "string", ".spec.mode"),
        ("Amount", "string", ".spec.amount"),
        ("Currency", "string", ".spec.currency"),
        ("Period", "string", ".spec.period"),
        ("Committed", "string", ".status.committed"),
        ("Percent", "integer", ".status.percent"),
        ("State", "string", ".status.state"),
    ),
    "PriceList": (
        ("Currency", "string", ".spec.currency"),
        ("CPU", "string", ".spec.onDemand.cpuCoreHour"),
        ("Memory", "string", ".spec.onDemand.memoryGiBHour"),
    ),
    "PolicyException": (
        ("Guardrails", "string", ".spec.guardrails"),
        ("Owner", "string", ".spec.owner"),
        ("Expires", "string", ".spec.expires"),
    ),
}
_ACCEPTED: Final = ("Accepted", "string", '.status.conditions[?(@.type=="Accepted")].status')
_AGE: Final = ("Age", "date", ".metadata.creationTimestamp")

_STATUS: Final[Mapping[str, Any]] = {
    "type": "object",
    "description": "Written by Podgate: whether the policy is in force, and where it is not, why.",
    "properties": {
        versions.FIELD: {
            "type": "object",
            "description": "The version that is in force. Replicas that start later go on with it where a newer one is "
            "malformed, so whoever may write it decides what that is.",
            "required": ["generation", "spec"],
            "properties": {
                "generation": {
                    "type": "integer",
                    "format": "int64",
                    "description": "Generation of the object that it was taken from.",
                },
                "olderSections": {
                    "type": "array",
                    "description": "Sections that were taken from an older generation.",
                    "maxItems": 100,
                    "items": {
                        "type": "object",
                        "required": ["name", "generation"],
                        "properties": {
                            "name": {"type": "string", "maxLength": 63},
                            "generation": {"type": "integer", "format": "int64"},
                        },
                    },
                },
                "spec": {
                    "type": "string",
                    "maxLength": versions.MAX_TEXT,
                    "description": "The spec that is in force, as JSON.",
                },
            },
        },
        "conditions": {
            "type": "array",
            "description": "`Accepted` says whether the version of `observedGeneration` is in force.",
            # Whoever adds a condition of another type by server-side apply owns that one alone.
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
            "items": {
                "type": "object",
                "required": ["type", "status", "reason", "message", "lastTransitionTime"],
                "properties": {
                    "type": {"type": "string", "maxLength": 316},
                    "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
                    "reason": {"type": "string", "minLength": 1, "maxLength": 1024},
                    "message": {"type": "string", "maxLength": 32768},
                    "lastTransitionTime": {"type": "string", "format": "date-time"},
                    "observedGeneration": {"type": "integer", "format": "int64", "minimum": 0},
                },
            },
        },
    },
}

_BUDGET_STATUS: Final[Mapping[str, Any]] = {
    "committed": {
        "type": "string",
        "description": "What counts against the amount, in the budget's currency; some seconds old.",
    },
    "percent": {"type": "integer", "format": "int64", "description": "Of the amount, rounded down."},
    "actual": {
        "type": "string",
        "description": "What the period has cost so far, as the allocation API of OpenCost or Kubecost says; for "
        "people only.",
    },
    "state": {
        "type": "string",
        "description": "Within; Warning from `warnAt` on; Exhausted from `rejectAt` on; Unpriced where prices are in "
        "another currency.",
    },
    "notified": {
        "type": "object",
        "description": "Of which thresholds people were told, so that a restart tells nobody twice. A new period, or "
        "another amount, begins anew.",
        "properties": {
            "period": {"type": "string", "format": "date-time"},
            "amount": {"type": "string"},
            "thresholds": {"type": "array", "items": {"type": "integer"}},
        },
    },
}

_HEADER: Final = "# Made by `make crds` from the models in webhook/policy. Do not edit.\n"


def plural(kind: str) -> str:
    """Return the resource name of a kind: ``guardrailpolicies``."""
    return _PLURALS.get(kind) or f"{kind.lower()}s"


def crd(kind: str) -> JsonSchema:
    """Return the CustomResourceDefinition of a kind.

    Raises:
        KeyError: there is no such kind.
    """
    found = discovery.kinds()[kind]
    columns = (*_COLUMNS.get(kind, ()), _ACCEPTED, _AGE)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural(kind)}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural(kind),
                "singular": kind.lower(),
                "categories": ["podgate"],
            },
            "scope": "Namespaced" if found.namespaced else "Cluster",
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "additionalPrinterColumns": [
                        {"name": name, "type": kind_of, "jsonPath": path} for name, kind_of, path in columns
                    ],
                    # What an author writes into the status is dropped, and what Podgate writes there is no new version.
                    "subresources": {"status": {}},
                    "schema": {"openAPIV3Schema": _document(kind)},
                }
            ],
        },
    }


def render(kind: str) -> str:
    """Return the text of the file of a kind."""
    text: str = yaml.safe_dump(crd(kind), sort_keys=False, width=120, allow_unicode=True)
    return _HEADER + text


def files() -> Iterator[tuple[str, str]]:
    """Yield name and text of every file."""
    for kind in discovery.kinds():
        yield f"{plural(kind)}.yaml", render(kind)


def _document(kind: str) -> JsonSchema:
    root = json_schema.with_rules(kind)
    spec = structural(json_schema.at(kind, ("spec",)), root)
    status = copy.deepcopy(dict(_STATUS))
    if kind == "Budget":
        status["properties"].update(copy.deepcopy(dict(_BUDGET_STATUS)))
    for _, _, path in _COLUMNS.get(kind, ()):
        place, _, name = path.removeprefix(".").partition(".")
        default = json_schema.at(kind, ("spec", name)).get("default")
        if place == "spec" and default is not None:
            spec["properties"][name]["default"] = default
    made: JsonSchema = {
        "type": "object",
        "description": root.get("description", ""),
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": status,
        },
    }
    rules: tuple[ApiRule, ...] = discovery.kinds()[kind].spec.API_DOCUMENT_RULES
    return {**made, RULES_KEY: [rule._asdict() for rule in rules]} if rules else made


def main(directory: Path) -> None:
    """Write all files."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in files():
        (directory / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
