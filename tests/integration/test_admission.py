"""What users of a cluster with Podgate in it see: kubectl's warnings and refusals, and pods as they are stored.

One API server, one Podgate process, installed as the manifests install it; each test has a namespace of its own.
There are no controllers, so the pods of a workload are made here, in the name of the controller that would.
"""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.integration import _admission as at
from tests.integration import _control_plane
from tests.integration._admission import Installation, eventually

SCHEDULER = "bin-packing-scheduler"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with _control_plane.control_plane(tmp_path_factory.mktemp("plane")) as plane:
        at.Kubectl(plane).create(at.vpa_definition())
        with at.installation(plane) as installed:
            yield installed


def allows(cluster: Installation, pod: at.Object) -> bool:
    """Whether the pod would be admitted now; a dry run, so that asking changes nothing."""
    return cluster.kubectl.apply(pod, flags=("--dry-run=server",)).is_done


# --- what is said -----------------------------------------------------------------------------------------------------


def test_kubectl_tells_what_a_workload_costs_a_month(cluster: Installation) -> None:
    team = cluster.namespace("team-told", cost_center="engineering-alpha")

    said = {
        kind: cluster.kubectl.apply(document)
        for kind, document in {
            "Deployment": at.workload("Deployment", team, cpu="1", memory="1Gi"),
            "StatefulSet": at.workload("StatefulSet", team, replicas=3, cpu="1", memory="1Gi"),
            "CronJob": at.cron_job(team),
        }.items()
    }

    assert all(each.is_done for each in said.values()), said
    # 730 hours of a core at 0.031611 and of a GiB at 0.004237.
    assert (
        "Warning: this Deployment costs $52.34 a month (2 replicas, requests, on-demand, price list default)"
        in said["Deployment"].err
    )
    assert (
        "Warning: this StatefulSet costs $78.51 a month (3 replicas, requests, on-demand, price list default)"
        in said["StatefulSet"].err
    )
    assert "Warning: this CronJob costs $1.11 a month" in said["CronJob"].err


def test_a_workload_is_stored_as_its_author_wrote_it(cluster: Installation) -> None:
    team = cluster.namespace("team-written", cost_center="engineering-alpha")
    written = at.workload("Deployment", team)

    assert cluster.kubectl.apply(written).is_done

    stored = cluster.kubectl.get("deployment", "web", "-n", team)["spec"]["template"]
    assert stored["metadata"]["labels"] == {"app": "web"}
    assert (
        stored["spec"]["containers"][0]["resources"]
        == written["spec"]["template"]["spec"]["containers"][0]["resources"]
    )
    assert stored["spec"]["securityContext"] == {}


def test_a_deployment_whose_pods_would_be_refused_is_stored_with_a_warning(cluster: Installation) -> None:
    team = cluster.namespace("team-advised", cost_center="engineering-alpha")
    deployment = at.workload("Deployment", team)
    deployment["spec"]["template"]["spec"]["hostNetwork"] = True

    said = cluster.kubectl.apply(deployment)

    assert said.is_done, said.err
    assert "policy team-namespaces, podSecurity:" in said.err
    assert "hostNetwork" in said.err


@pytest.mark.parametrize(
    ("pod", "told"),
    [
        pytest.param(
            at.privileged("team-refused"),
            (
                'webhook "security.podgate.dev" denied the request: policy team-namespaces, podSecurity:',
                '"app"',
                "to fix:",
            ),
            id="podSecurity",
        ),
        pytest.param(
            at.pod("team-refused", cpu="16"),
            (
                'webhook "cost.podgate.dev" denied the request: policy team-namespaces, costCeiling:',
                "costs $369.60 a month, above the ceiling of $300.00",
                'lower the requests of container "app"',
            ),
            id="costCeiling",
        ),
    ],
)
def test_kubectl_tells_why_a_pod_is_refused_and_the_cure(
    cluster: Installation, pod: at.Object, told: tuple[str, ...]
) -> None:
    if not cluster.kubectl("get", "namespace", "team-refused").is_done:
        cluster.namespace("team-refused", cost_center="engineering-alpha")

    said = cluster.kubectl.apply(pod)

    assert not said.is_done
    for part in told:
        assert part in said.err
    assert not cluster.kubectl("get", "pod", pod["metadata"]["name"], "-n", "team-refused").is_done


def test_a_pod_that_claims_the_cost_center_of_others_is_refused(cluster: Installation) -> None:
    team = cluster.namespace("team-honest", cost_center="engineering-alpha")
    pod = at.pod(team)
    pod["metadata"]["labels"]["cost-center"] = "marketing"

    said = cluster.kubectl.apply(pod)

    assert not said.is_done
    assert f'label cost-center is "marketing" but namespace {team} belongs to "engineering-alpha"' in said.err


# --- what is stored ---------------------------------------------------------------------------------------------------


def test_a_pod_of_a_deployment_is_stored_as_recommended_labelled_and_hardened(cluster: Installation) -> None:
    kubectl = cluster.kubectl
    team = cluster.namespace("team-sized", cost_center="engineering-alpha")
    deployment = kubectl.create(at.workload("Deployment", team, cpu="2", memory="4Gi"))
    replica_set = at.workload("ReplicaSet", team, "web-5d4f8c7b9", cpu="2", memory="4Gi")
    owner = kubectl.create(at.owned_by(deployment, replica_set))
    kubectl.create(at.vpa(team, deployment, "150m", "256Mi"))

    def made(name: str, *flags: str) -> at.Object:
        pod = at.owned_by(owner, at.pod(team, name, cpu="2", memory="4Gi"))
        return kubectl.create(pod, f"--as={at.REPLICA_SETS}", *flags)

    def requests(pod: at.Object) -> at.Object:
        found: at.Object = pod["spec"]["containers"][0]["resources"]["requests"]
        return found

    # The recommendation is known a moment after it was made.
    eventually("the VPA is known", lambda: requests(made("asked", "--dry-run=server"))["cpu"] == "150m")
    stored = made("web-5d4f8c7b9-x2x4z")

    assert stored["spec"]["containers"][0]["resources"] == {
        "requests": {"cpu": "150m", "memory": "256Mi"},
        "limits": {"cpu": "450m", "memory": "512Mi"},
    }
    assert stored["metadata"]["labels"] == {"app": "web", "cost-center": "engineering-alpha"}
    assert stored["spec"]["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert stored["spec"]["containers"][0]["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert stored == kubectl.get("pod", "web-5d4f8c7b9-x2x4z", "-n", team)


def test_pods_go_to_the_packing_scheduler_while_its_lease_is_fresh(cluster: Installation) -> None:
    kubectl = cluster.kubectl
    team = cluster.namespace("team-packed", cost_center="engineering-alpha")

    def scheduler() -> str:
        pod = kubectl.create(at.pod(team), "--dry-run=server")
        name: str = pod["spec"]["schedulerName"]
        return name

    said = kubectl.apply(at.pod(team, "early"))
    assert said.is_done, said.err
    assert SCHEDULER not in said.err, "nobody who applies a pod can install a scheduler"
    assert f"scheduler {SCHEDULER} has no Lease in kube-system, podgate" in cluster.podgate.readiness()[1]
    assert kubectl.get("pod", "early", "-n", team)["spec"]["schedulerName"] == "default-scheduler"

    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": SCHEDULER, "namespace": "kube-system"},
        "spec": {
            "holderIdentity": "node-1",
            "leaseDurationSeconds": 600,
            "renewTime": datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        },
    }
    kubectl.create(lease)
    eventually("pods go to the scheduler that lives", lambda: scheduler() == SCHEDULER)
    assert kubectl.create(at.pod(team, "late"))["spec"]["schedulerName"] == SCHEDULER
    released = json.dumps({"spec": {"holderIdentity": None}})
    kubectl.must("patch", "lease", SCHEDULER, "-n", "kube-system", "--type=merge", "-p", released)
    eventually("pods stay with the default scheduler", lambda: scheduler() == "default-scheduler")
    said = kubectl.apply(at.pod(team, "away"))
    assert f'scheduler "{SCHEDULER}" holds no fresh Lease, so the pod stays with the default scheduler' in said.err
    kubectl.must("delete", "lease", SCHEDULER, "-n", "kube-system")
    eventually("pods stay with the default scheduler again", lambda: scheduler() == "default-scheduler")


# --- money ------------------------------------------------------------------------------------------------------------


def test_dry_runs_take_nothing_from_a_budget_and_pods_take_it_once(cluster: Installation) -> None:
    team = cluster.namespace("team-spends", cost_center="engineering-alpha")
    pods = [at.pod(team, name, cpu="1", memory="1Gi") for name in ("first", "second")]
    assert cluster.kubectl.apply(at.budget("spends", team, "40")).is_done
    dear = at.pod(team, cpu="2", memory="1Gi")
    eventually("the budget is known", lambda: not allows(cluster, dear))

    for pod in (*pods, *pods):
        assert allows(cluster, pod)
    assert cluster.kubectl.apply(pods[0]).is_done
    said = cluster.kubectl.apply(pods[1])

    assert not said.is_done
    assert 'budget "spends": $26.17 of $40.00 a month committed, this pod adds $26.17' in said.err
    cluster.kubectl.must("delete", "pod", "first", "-n", team, "--force", "--grace-period=0")
    eventually("the money of a pod that is gone is free", lambda: allows(cluster, pods[1]))


def test_of_many_pods_at_once_a_budget_lets_in_what_fits(cluster: Installation) -> None:
    team = cluster.namespace("team-rush", cost_center="engineering-alpha")
    # Three pods of $26.17 are $78.51.
    assert cluster.kubectl.apply(at.budget("rush", team, "80")).is_done
    eventually("the budget is known", lambda: not allows(cluster, at.pod(team, cpu="4")))
    outcomes: list[bool] = []

    def ask(number: int) -> None:
        outcomes.append(cluster.kubectl.apply(at.pod(team, f"web-{number}", cpu="1", memory="1Gi")).is_done)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    stored = json.loads(cluster.kubectl.must("get", "pods", "-n", team, "-o", "json").out)["items"]
    assert (outcomes.count(True), len(stored)) == (3, 3)


def test_scaling_above_the_ceiling_is_refused_and_scaling_down_is_not(cluster: Installation) -> None:
    kubectl = cluster.kubectl
    grown = cluster.namespace("grown")
    kubectl.create(at.workload("Deployment", grown, replicas=40, cpu="1", memory="1Gi"))

    def scale(replicas: int, *flags: str) -> at.Said:
        return kubectl("scale", "deployment/web", "-n", grown, f"--replicas={replicas}", *flags)

    assert scale(41, "--dry-run=server").is_done
    assert kubectl.apply(at.policy("grown", grown, costCeiling={"workloadMonthly": "500"})).is_done
    eventually("the ceiling is known", lambda: not scale(41, "--dry-run=server").is_done)

    refused, lowered = scale(45), scale(30)

    assert "costs $1,177.61 a month (45 replicas), above the ceiling of $500.00" in refused.err
    assert (
        "Warning: this Deployment costs $785.07 a month (30 replicas, requests, on-demand, price list default)"
        in lowered.err
    )
    assert lowered.is_done, "cheaper, and still above the ceiling"
    assert kubectl.get("deployment", "web", "-n", grown)["spec"]["replicas"] == 30


# --- pods that run ----------------------------------------------------------------------------------------------------


def test_ephemeral_containers_are_held_to_pod_security(cluster: Installation) -> None:
    kubectl = cluster.kubectl
    team = cluster.namespace("team-debugged", cost_center="engineering-alpha")
    kubectl.create(at.pod(team))

    def debug(profile: str) -> at.Said:
        target = ("debug", "web", "-n", team, "--image=registry.example/tools:1")
        return kubectl(*target, f"--profile={profile}", f"--container={profile}")

    refused, allowed = debug("sysadmin"), debug("restricted")

    assert not refused.is_done
    assert 'webhook "security.podgate.dev" denied the request: policy team-namespaces, podSecurity:' in refused.err
    assert '"sysadmin"' in refused.err
    assert allowed.is_done, allowed.err
    stored = kubectl.get("pod", "web", "-n", team)["spec"]["ephemeralContainers"]
    assert [each["name"] for each in stored] == ["restricted"]


def test_a_resize_is_held_to_the_ceiling_and_to_the_budget(cluster: Installation) -> None:
    kubectl = cluster.kubectl
    team = cluster.namespace("team-resized", cost_center="engineering-alpha")
    assert kubectl.apply(at.budget("resized", team, "40")).is_done
    eventually("the budget is known", lambda: not allows(cluster, at.pod(team, cpu="4")))
    kubectl.create(at.pod(team))

    def resize(cpu: str) -> at.Said:
        patch = {"spec": {"containers": [{"name": "app", "resources": {"requests": {"cpu": cpu}}}]}}
        return kubectl("patch", "pod", "web", "-n", team, "--subresource=resize", "-p", json.dumps(patch))

    above_ceiling, above_budget, within = resize("16"), resize("3"), resize("1")

    assert "costCeiling: costs $369.60 a month, above the ceiling of $300.00" in above_ceiling.err
    assert 'budget "resized": $2.69 of $40.00 a month committed, this resize adds $66.92' in above_budget.err
    assert within.is_done, within.err
    assert kubectl.get("pod", "web", "-n", team)["spec"]["containers"][0]["resources"]["requests"]["cpu"] == "1"


# --- policies as custom resources -------------------------------------------------------------------------------------


def test_a_policy_takes_effect_as_it_is_applied_edited_and_deleted(cluster: Installation) -> None:
    lab = cluster.namespace("lab-policies")
    root = at.privileged(lab)
    level = {"level": "baseline"}
    assert allows(cluster, root)

    assert cluster.kubectl.apply(at.policy("lab", lab, podSecurity=level)).is_done
    eventually("the policy holds", lambda: not allows(cluster, root))

    assert cluster.kubectl.apply(at.policy("lab", lab, mode="warn", podSecurity=level)).is_done
    eventually("the edit holds", lambda: allows(cluster, root))
    assert "Warning: policy lab, podSecurity:" in cluster.kubectl.apply(root, flags=("--dry-run=server",)).err

    cluster.kubectl.must("delete", "guardrailpolicy", "lab")

    def is_silent() -> bool:
        said = cluster.kubectl.apply(root, flags=("--dry-run=server",))
        return said.is_done and not said.err

    eventually("nothing is left of it", is_silent)


def test_an_exception_lets_its_pods_through_and_no_others(cluster: Installation) -> None:
    teams = [
        cluster.namespace(name, cost_center="engineering-alpha") for name in ("team-excepted", "team-not-excepted")
    ]
    excepted, elsewhere = (at.privileged(team) for team in teams)
    other = at.privileged(teams[0], "other")
    other["metadata"]["labels"]["app"] = "other"
    assert not any(allows(cluster, each) for each in (excepted, elsewhere, other))
    exception = {
        "apiVersion": "podgate.dev/v1alpha1",
        "kind": "PolicyException",
        "metadata": {"name": "agent", "namespace": teams[0]},
        "spec": {
            "guardrails": ["podSecurity"],
            "podSelector": {"matchLabels": {"app": "web"}},
            "owner": "agents@company.example",
            "reason": "reads what the kernel counts",
            "expires": (datetime.now(UTC) + timedelta(days=30)).date().isoformat(),
        },
    }

    assert cluster.kubectl.apply(exception).is_done
    eventually("the exception holds", lambda: allows(cluster, excepted))

    assert not allows(cluster, elsewhere)
    assert not allows(cluster, other)
    cluster.kubectl.must("delete", "policyexception", "agent", "-n", teams[0])
    eventually("it holds no longer", lambda: not allows(cluster, excepted))


def test_a_policy_that_is_no_policy_is_refused_by_the_api_server(cluster: Installation) -> None:
    wrong = at.policy("wrong", "nowhere", mode="strict", podSecurity={"level": "privileged"})

    said = cluster.kubectl.apply(wrong)

    assert not said.is_done
    assert 'spec.mode: Unsupported value: "strict"' in said.err
    assert 'spec.podSecurity.level: Unsupported value: "privileged"' in said.err
    assert not cluster.kubectl("get", "guardrailpolicy", "wrong").is_done


def test_a_malformed_policy_affects_itself_alone(cluster: Installation) -> None:
    lab = cluster.namespace("lab-malformed")
    root = at.privileged(lab)
    required = {"key": "team", "source": "pod", "default": "none"}
    broken = {**required, "pattern": "^[a-z]+$", "allowed": ["none", "OTHER"]}
    assert cluster.kubectl.apply(at.policy("lab-good", lab, podSecurity={"level": "baseline"})).is_done
    assert cluster.kubectl.apply(at.policy("lab-labels", lab, costLabels={"required": [required]})).is_done
    eventually("the good policy holds", lambda: not allows(cluster, root))

    def label() -> str | None:
        stored = cluster.kubectl.create(at.pod(lab), "--dry-run=server")
        value: str | None = stored["metadata"]["labels"].get("team")
        return value

    eventually("the label is filled in", lambda: label() == "none")
    # No rule of the definition compares allowed values with their pattern.
    assert cluster.kubectl.apply(at.policy("lab-labels", lab, costLabels={"required": [broken]})).is_done
    eventually("it is told", lambda: "GuardrailPolicy lab-labels" in cluster.podgate.readiness()[1])

    assert cluster.podgate.readiness()[0], "the rest holds, so it is ready"
    assert not allows(cluster, root), "the good policy holds on"
    assert label() == "none", "its last good version holds on"
    cluster.kubectl.must("delete", "guardrailpolicy", "lab-labels")
    eventually("nothing is wrong any more", lambda: "lab-labels" not in cluster.podgate.readiness()[1])
    assert label() is None
