"""Policies as custom resources on a real API server: what it refuses by the definitions, and what stays in force where
a malformed version got in all the same."""

import base64
import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.fakes.apiserver import PATHS
from tests.integration import _admission as at
from tests.integration import _control_plane
from tests.integration._admission import Installation, Podgate, eventually
from tests.integration.test_conditions import install
from tests.policy._documents import BUDGET, EXCEPTION, POLICY, PRICES
from tests.policy.loading.test_refused_specs import SPEC_FAULTS
from webhook.kube import client
from webhook.policy.loading import yaml_documents
from webhook.policy.model import discovery
from webhook.policy.model.envelope import API_VERSION

ROOT = Path(__file__).parents[2]
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
MERGE = "application/merge-patch+json"

ONLY_THE_LOADER = {
    "an empty section": "kept as it is, so that it is told and the last good one holds",
    "an empty field": "one with a default, which holds then",
    "an allowed value outside of the pattern": "no bound of lists and texts makes this cheap enough for a rule",
    "spot that does nothing": "what a spot section may do grows by release",
    "a reason of two lines": "line breaks in a text",
    "a budget in another currency than the prices": "another object",
    "the same budget twice": "another object",
}
"""Faults that the API server lets in, and why."""

Object = dict[str, Any]


def shipped() -> list[Object]:
    """Return every policy in files of this repository, those inside of case files and documents included."""
    found: list[Object] = []

    def walk(node: object) -> None:
        if isinstance(node, dict):
            if node.get("apiVersion") == API_VERSION and node.get("kind") in discovery.kinds():
                found.append(node)
            for each in node.values():
                walk(each)
        elif isinstance(node, list):
            for each in node:
                walk(each)

    texts = [path.read_text() for place in ("policies", "tests/cases") for path in (ROOT / place).rglob("*.yaml")]
    texts.append((ROOT / "tests" / "data" / "policy" / "contract.yaml").read_text())
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        blocks = path.read_text().split("```yaml\n")[1:]
        texts += [text for block in blocks if API_VERSION in (text := block.partition("```")[0])]
    for text in texts:
        walk(list(yaml.safe_load_all(text)))
    return found


def collection(document: Object) -> str:
    head, _, plural = PATHS[document["kind"]].rpartition("/")
    namespace = document["metadata"].get("namespace")
    return f"{head}/namespaces/{namespace}/{plural}" if namespace else PATHS[document["kind"]]


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_control_plane.ControlPlane]:
    with _control_plane.control_plane(tmp_path_factory.mktemp("definitions")) as made:
        install(made.client())
        yield made


def refusal(plane: _control_plane.ControlPlane, document: Object) -> str:
    """Return why the API server does not take a document; nothing where it does."""
    path = f"{collection(document)}?dryRun=All&fieldValidation=Strict"
    try:
        plane.client().request("POST", path, body=json.dumps(document).encode())
    except client.ApiError as error:
        return str(error)
    return ""


def test_every_shipped_policy_is_taken(plane: _control_plane.ControlPlane) -> None:
    documents = shipped()
    assert {document["kind"] for document in documents} == set(discovery.kinds())
    namespaces = {document["metadata"].get("namespace") for document in documents} - {None, "podgate", "team-alpha"}
    for name in namespaces:
        made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        plane.client().request("POST", "/api/v1/namespaces", body=json.dumps(made).encode())
    found = {f"{each['kind']} {each['metadata']['name']}": refusal(plane, each) for each in documents}
    assert {name: why for name, why in found.items() if why} == {}


def test_what_the_loader_refuses_the_api_server_refuses_too_as_far_as_it_can(
    plane: _control_plane.ControlPlane,
) -> None:
    let_in = set()
    for name, (text, _) in SPEC_FAULTS.items():
        for document in yaml_documents.parse(text, "").documents:
            if refusal(plane, document.value):
                break
        else:
            let_in.add(name)
    assert let_in == set(ONLY_THE_LOADER)


@pytest.mark.parametrize(
    ("valid", "fields", "told"),
    [
        (POLICY, {"rightSizing": {"limitHeadroom": {"cpu": 0.5}}}, "greater than or equal to 1"),
        (POLICY, {"rightSizing": {"limitHeadroom": {"cpu": True}}}, "limitHeadroom"),
        (POLICY, {"rightSizing": {"limitHeadroom": {"gpu": 2}}}, "limitHeadroom"),
        (POLICY, {"rightSizing": {"limitHeadroom": "some"}}, "limitHeadroom"),
        (POLICY, {"rightSizing": {"minimum": {"cpu": "2"}, "maximum": {"cpu": "1500m"}}}, "lower minimum"),
        (POLICY, {"podSecurity": {"defaults": {}}}, "fromNamespaceLabels"),
        (POLICY, {"match": {"excludeSubjects": {"groups": ["system:serviceaccounts"]}}}, "nothing would be judged"),
        (POLICY, {"costCeiling": {}}, "give podMonthly"),
        (POLICY, {"mode": False}, "spec.mode"),
        (BUDGET, {"scope": {"cluster": True, "namespaces": ["a"]}}, "at most 1"),
        (BUDGET, {"amount": "0.00"}, "greater than 0"),
        (BUDGET, {"warnAt": [90, 75]}, "ascend"),
        (BUDGET, {"warnAt": [75, 75]}, "ascend"),
        (BUDGET, {"resetDay": "Sunday"}, "resetDay must fit"),
        (BUDGET, {"resetDay": 29, "period": "monthly"}, "resetDay"),
        (BUDGET, {"resetDay": 1, "period": "daily"}, "resetDay must fit"),
        (PRICES, {"nodes": {"selectors": [{"matchLabels": {"a": "b"}}]}}, "named default"),
        (PRICES, {"assumedRequest": {"cpu": "0", "memory": "0Mi"}}, "free"),
        (EXCEPTION, {"controls": ["runAsNonRoot"], "guardrails": ["spot"]}, "podSecurity is not among"),
    ],
)
def test_rules_across_fields_are_told_with_the_cure(
    plane: _control_plane.ControlPlane, valid: str, fields: Object, told: str
) -> None:
    document = yaml.safe_load(valid)
    assert refusal(plane, document) == ""
    assert told in refusal(plane, {**document, "spec": {**document["spec"], **fields}})


@pytest.mark.parametrize(
    ("valid", "fields"),
    [
        (POLICY, {"rightSizing": {"limitHeadroom": {"cpu": 2.5, "memory": "none"}}}),
        (POLICY, {"rightSizing": {"limitHeadroom": {"cpu": "2.5"}}}),
        (POLICY, {"rightSizing": {"limitHeadroom": "none", "minimum": {"cpu": "1"}, "maximum": {"cpu": 2}}}),
        (POLICY, {"costLabels": {"mode": "off"}, "binPacking": {"mode": "off"}}),
        (BUDGET, {"resetDay": "Sunday", "period": "weekly", "warnAt": [75, 90]}),
        (BUDGET, {"resetDay": 28}),
        (PRICES, {"assumedRequest": {"cpu": "0", "memory": "64Mi"}}),
    ],
)
def test_what_the_loader_takes_is_taken(plane: _control_plane.ControlPlane, valid: str, fields: Object) -> None:
    document = yaml.safe_load(valid)
    assert refusal(plane, {**document, "spec": {**document["spec"], **fields}}) == ""


def test_a_section_without_a_value_is_kept_so_that_the_loader_can_tell(plane: _control_plane.ControlPlane) -> None:
    document = yaml.safe_load(POLICY + "  podSecurity:\n")
    made = plane.client().request("POST", f"{collection(document)}?dryRun=All", body=json.dumps(document).encode())
    assert json.loads(made)["spec"] == {"mode": "enforce", "priority": 0, "podSecurity": None}


def test_kubectl_shows_what_holds_where_nothing_is_said(plane: _control_plane.ControlPlane) -> None:
    kubectl = at.Kubectl(plane)
    kubectl.create({**yaml.safe_load(BUDGET), "metadata": {"name": "shown"}})
    kubectl.create({**yaml.safe_load(POLICY), "metadata": {"name": "shown"}})
    for kind, column, value in (("budgets", "PERIOD", "monthly"), ("guardrailpolicies", "PRIORITY", "0")):
        head, row = (line.split() for line in kubectl.must("get", kind, "shown").out.splitlines())
        assert row[head.index(column)] == value


def test_kubectl_is_told_of_a_misspelt_section(plane: _control_plane.ControlPlane) -> None:
    misspelt = {**yaml.safe_load(POLICY), "spec": {"mode": "enforce", "podSecurty": {}}}
    for flags in ((), ("--server-side",)):
        said = at.Kubectl(plane).apply(misspelt, flags=flags)
        assert not said.is_done
        assert "podSecurty" in said.err


# --- a malformed version that got in all the same ---------------------------------------------------------------------


def opened(definition: Object, *, keeps_status: bool = True) -> Object:
    """Return a definition that takes any spec, as one of an older installation."""
    made = copy.deepcopy(definition)
    (version,) = made["spec"]["versions"]
    properties = version["schema"]["openAPIV3Schema"]["properties"]
    properties["spec"] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version["schema"]["openAPIV3Schema"].pop("x-kubernetes-validations", None)
    if not keeps_status:
        del properties["status"]["properties"]["lastAccepted"]
    return made


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with _control_plane.control_plane(tmp_path_factory.mktemp("plane")) as made:
        installed = at.install(made)
        try:
            yield installed
        finally:
            installed.podgate.kill()


def patch(cluster: Installation, name: str, path: str, value: object) -> at.Said:
    operations = json.dumps([{"op": "replace", "path": path, "value": value}])
    return cluster.kubectl("patch", "guardrailpolicy", name, "--type=json", "-p", operations)


def condition(cluster: Installation, name: str) -> Object:
    found = cluster.kubectl.get("guardrailpolicy", name)
    (said,) = (found.get("status") or {}).get("conditions") or [{}]
    is_new = said.get("observedGeneration") == found["metadata"]["generation"]
    return said if is_new else {}


def allows(cluster: Installation, pod: Object) -> bool:
    return cluster.kubectl.apply(pod, flags=("--dry-run=server",)).is_done


def open_definitions(cluster: Installation, *, keeps_status: bool = True) -> None:
    for path in sorted((ROOT / "manifests" / "crds").glob("*policies.yaml")):
        definition = opened(yaml.safe_load(path.read_text()), keeps_status=keeps_status)
        cluster.kubectl.must("replace", "-f", "-", stdin=json.dumps(definition))


def test_a_headroom_that_no_limit_can_have_is_refused_by_the_api_server(cluster: Installation) -> None:
    said = patch(cluster, "team-namespaces", "/spec/rightSizing/limitHeadroom", {"cpu": 0.5})
    assert not said.is_done
    assert "limitHeadroom.cpu" in said.err
    assert cluster.kubectl.get("guardrailpolicy", "team-namespaces")["metadata"]["generation"] == 1


@pytest.mark.parametrize("keeps_status", [True, False], ids=["any spec", "any spec and an older status"])
def test_a_malformed_section_lets_no_privileged_pod_in_before_and_after_a_restart(
    cluster: Installation, keeps_status: bool
) -> None:
    name = "team-new" if keeps_status else "team-old"
    team = cluster.namespace(name, cost_center="engineering-alpha")
    sections: Object = {"podSecurity": {"level": "baseline"}, "rightSizing": {"limitHeadroom": {"cpu": 2}}}
    cluster.kubectl.create(at.policy(name, team, **sections))
    eventually("it is in force", lambda: condition(cluster, name).get("status") == "True")
    assert not allows(cluster, at.privileged(team))
    open_definitions(cluster, keeps_status=keeps_status)

    def edit() -> bool:
        # A definition takes a moment to be the one that is used.
        return patch(cluster, name, "/spec/rightSizing/limitHeadroom", {"cpu": 0.5}).is_done

    eventually("the definition is open", edit)
    eventually("it is told", lambda: condition(cluster, name).get("reason") == "Invalid")
    assert "spec.rightSizing.limitHeadroom.cpu" in condition(cluster, name)["message"]
    assert not allows(cluster, at.privileged(team))
    cluster.podgate.stop()
    cluster.podgate.start()
    assert not allows(cluster, at.privileged(team))
    assert f"GuardrailPolicy {name}: spec.rightSizing.limitHeadroom.cpu" in cluster.podgate.readiness()[1]
    if keeps_status:
        assert condition(cluster, name)["message"].endswith("In force: generation 2, with rightSizing of generation 1.")
    cluster.kubectl.must("delete", "guardrailpolicy", name)
    cluster.kubectl.must("replace", "-f", ROOT / "manifests" / "crds" / "guardrailpolicies.yaml")


def test_the_last_good_version_reaches_a_replica_that_starts_later(cluster: Installation) -> None:
    team = cluster.namespace("team-late", cost_center="engineering-alpha")
    cluster.kubectl.create(at.policy("late", team, podSecurity={"level": "restricted"}))
    eventually("it is in force", lambda: condition(cluster, "late").get("status") == "True")
    open_definitions(cluster)
    eventually("it is malformed", lambda: patch(cluster, "late", "/spec/podSecurity/level", "low").is_done)
    eventually("it is told", lambda: condition(cluster, "late").get("reason") == "Invalid")
    later = Podgate(cluster.plane.directory, cluster.plane.directory / "podgate.kubeconfig", "later")
    later.start()
    try:
        entry = cluster.kubectl.get("validatingwebhookconfiguration", "podgate")["webhooks"][0]
        authority = base64.b64decode(entry["clientConfig"]["caBundle"]).decode()
        root = at.pod(team, securityContext={"runAsUser": 0})
        answers = [each.review("/validate/security", root, authority) for each in (cluster.podgate, later)]
        assert [each["allowed"] for each in answers] == [False, False]
        assert answers[0]["status"]["message"] == answers[1]["status"]["message"]
    finally:
        later.kill()
    cluster.kubectl.must("replace", "-f", ROOT / "manifests" / "crds" / "guardrailpolicies.yaml")
