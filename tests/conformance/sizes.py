"""Sized pods on their way through a whole API server: what Podgate makes of an acceptable pod stays acceptable.

What an API server says is told by `tests.guardrails._api_rules`, which shares no code with Podgate; the truth judges
pods that were sized without care, and that judgement has to be the same.
"""

import functools
from pathlib import Path
from typing import Final

from tests import factories as make
from tests.conformance._cases import CaseError, CaseFile, Json, compare, existing, read_lines
from tests.guardrails import _api_rules as api
from webhook.admission.ruleset import Ruleset

_POLICIES: Final = "pod_admission_policies.yaml"
_SIZED: Final = ("cpu", "memory")


def of_sized(row: Json) -> list[str]:
    """Compare the rules of the API server with the truth, and hold what Podgate makes of the pod against them."""
    naive, recorded = row["sized"]["naive"], row["sized"]["podgate"]
    found = compare("the naive size is refused", bool(_refusals(row, _with(row["pod"], naive))), bool(naive["errors"]))
    found += compare("the pod is refused", _refusals(row, row["pod"]), [])
    answer = _world(row).mutate(
        {"apiVersion": "v1", "kind": "Pod", **row["pod"]}, namespace=row["pod"]["metadata"]["namespace"]
    )
    sized = make.patched_with(row["pod"], answer.patch)
    found += compare("refused", _refusals(row, sized), recorded["errors"])
    return found + compare("qos", api.qos(_with(row["pod"], recorded)), recorded["qos"])


def _with(pod: Json, sized: Json) -> Json:
    """Return the pod with other resources."""
    if sized["containers"] == "as received":
        return pod
    spec = dict(pod["spec"])
    for place in ("initContainers", "containers"):
        if place in spec:
            spec[place] = [{**each, "resources": sized["containers"][each["name"]]} for each in spec[place]]
    return {**pod, "spec": spec}


def _refusals(row: Json, pod: Json) -> list[str]:
    items = [item for document in row["limitRanges"] for item in document["spec"]["limits"]]
    return [*api.refusals(pod, items), *api.quota_refusals(pod, items, list(map(_quota, row["quotas"])))]


def _quota(document: Json) -> Json:
    spec, status = document["spec"], document.get("status") or {}
    selected = (spec.get("scopeSelector") or {}).get("matchExpressions") or ()
    scopes = [(name, "Exists", ()) for name in spec.get("scopes") or ()]
    scopes += [(each["scopeName"], each["operator"], tuple(each.get("values") or ())) for each in selected]
    return {
        "name": document["metadata"]["name"],
        "hard": status.get("hard") or spec["hard"],
        "used": status.get("used") or {},
        "scopes": scopes,
    }


def _world(row: Json) -> make.World:
    namespace = make.namespace(row["pod"]["metadata"]["namespace"])
    documents = [namespace, row["vpa"], *row["limitRanges"], *row["quotas"]]
    return make.World(rules=_rules(row["policies"]), cluster=[each for each in documents if each])


@functools.lru_cache(maxsize=4)
def _rules(text: str) -> Ruleset:
    return make.ruleset(text)


def _read(path: Path) -> list[Json]:
    """Put the pods and the policies that they are sized by together; the policies lie beside them."""
    policies = existing(path.parent, _POLICIES)
    if policies is None:
        raise CaseError(f"{path}: {_POLICIES} is not beside it; put it there, it holds what pods are sized by")
    text = policies.read_text(encoding="utf-8")
    return [{**row, "policies": text} for row in read_lines(path)]


FILES: Final = (
    CaseFile(
        name="pod_admission.jsonl.gz",
        stored="resources/pod_admission.jsonl.gz",
        differences=of_sized,
        expectation=("sized",),
        read=_read,
    ),
)
