"""CustomResourceDefinitions of the policy kinds, made from the same models as everything else.

A structural schema can say less than JSON Schema: no references, no unions of types, no names of keys. Where it cannot
say a thing, the field is left open here and judged by the loader, which judges everything again. Defaults are left out
on purpose: the API server would write them into the stored object, and "not said" would become "said".

``python -m webhook.policy._crds DIR`` writes one file a kind.
"""

import copy
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from webhook.policy import _discovery, _schema
from webhook.policy._envelope import API_VERSION

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

_COPIED: Final = (
    "description",
    "type",
    "pattern",
    "enum",
    "format",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "required",
)

_STATUS: Final[Mapping[str, Any]] = {
    "type": "object",
    "description": "Written by Podgate: whether the policy is in force, and where it is not, why.",
    "properties": {
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

Schema = dict[str, Any]


def plural(kind: str) -> str:
    """Return the resource name of a kind: ``guardrailpolicies``."""
    return _PLURALS.get(kind) or f"{kind.lower()}s"


def crd(kind: str) -> Schema:
    """Return the CustomResourceDefinition of a kind.

    Raises:
        KeyError: there is no such kind.
    """
    found = _discovery.kinds()[kind]
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
    for kind in _discovery.kinds():
        yield f"{plural(kind)}.yaml", render(kind)


def _document(kind: str) -> Schema:
    root = _schema.schema(kind)
    spec = _structural(_schema.at(kind, ("spec",)), root)
    status = copy.deepcopy(dict(_STATUS))
    if kind == "Budget":
        # Exactly one kind of scope: an object with one property says that without a union.
        spec["properties"]["scope"].update(minProperties=1, maxProperties=1)
        status["properties"].update(copy.deepcopy(dict(_BUDGET_STATUS)))
    return {
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


def _structural(node: Schema, root: Schema) -> Schema:
    node = _resolved(node, root)
    made: Schema = {name: node[name] for name in _COPIED if name in node}
    if "anyOf" in node or not (isinstance(node.get("type"), str | list) or "const" in node):
        return {**_described(node), "x-kubernetes-preserve-unknown-fields": True}
    if isinstance(node.get("type"), list) and "object" in node["type"]:
        # An object or a word: a structural schema knows no union, so it describes the object and lets the word pass.
        properties = {name: _structural(each, root) for name, each in node["properties"].items()}
        return {**_described(node), "properties": properties, "x-kubernetes-preserve-unknown-fields": True}
    if isinstance(node.get("type"), list):
        # A quantity: text, or a whole number that is read as text.
        return {**_described(node), "x-kubernetes-int-or-string": True, "pattern": node["pattern"]}
    if "const" in node:
        made["enum"] = [node["const"]]
    if isinstance(node.get("items"), dict):
        made["items"] = _structural(node["items"], root)
    if "properties" in node:
        made["properties"] = {name: _structural(each, root) for name, each in node["properties"].items()}
    for each in node.get("patternProperties", {}).values():
        # A structural schema cannot look at keys; the loader does.
        made["additionalProperties"] = _structural(each, root)
    return made


def _described(node: Schema) -> Schema:
    return {"description": node["description"]} if "description" in node else {}


def _resolved(node: Schema, root: Schema) -> Schema:
    while "$ref" in node:
        target = root["$defs"][node["$ref"].rpartition("/")[2]]
        node = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
    return node


def main(directory: Path) -> None:
    """Write all files."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in files():
        (directory / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
