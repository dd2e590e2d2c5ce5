"""What happens to the pods of a cluster while Podgate, or the API server itself, is away, and after it is back."""

import base64

from tests.integration import _admission as at
from tests.integration._admission import Installation, eventually


def asked(cluster: Installation, document: at.Object) -> at.Said:
    """Return what would be said to the object now; a dry run, so that asking changes nothing."""
    return cluster.kubectl.apply(document, flags=("--dry-run=server",))


def register(cluster: Installation, overlay: str) -> None:
    """Apply the webhook objects of an overlay over those that are there."""
    said = cluster.kubectl.apply(*(each for each in cluster.render(overlay) if each["kind"] in at.HOOKS))
    assert said.is_done, said.err


def test_after_a_restart_of_the_api_server_everything_is_followed_again(cluster: Installation) -> None:
    kubectl, podgate = cluster.kubectl, cluster.podgate
    lab = cluster.namespace("lab-restart")
    root = at.privileged(lab)
    ceiling = {"podMonthly": "50"}
    kubectl.must("label", "namespace", lab, "cost-center=engineering-alpha")
    for policy in (
        at.policy("kept", lab, costCeiling=ceiling),
        at.policy("dropped", lab, podSecurity={"level": "baseline"}),
    ):
        assert kubectl.apply(policy).is_done
    eventually("the policies hold", lambda: not asked(cluster, root).is_done)

    hook = kubectl.get("ValidatingWebhookConfiguration", "podgate")["webhooks"][0]
    authority = base64.b64decode(hook["clientConfig"]["caBundle"]).decode()

    cluster.plane.apiserver.kill()
    try:
        eventually("it is told that watches are broken", lambda: "may be out of date" in podgate.readiness()[1])
        assert podgate.readiness()[0]
        answered = podgate.review("/validate/security", root, authority)
    finally:
        cluster.plane.apiserver.start()
        cluster.plane.wait()
    assert answered["allowed"] is False, "what is known goes on being judged by"
    assert answered["status"]["message"].startswith("policy dropped, podSecurity:")

    # At once, while the watches wait to be opened again: what they missed is found by their next list.
    kubectl.must("delete", "guardrailpolicy", "dropped")
    assert kubectl.apply(at.policy("kept", lab, costCeiling={"podMonthly": "500"})).is_done
    reborn = cluster.namespace("team-reborn", cost_center="engineering-beta")
    eventually("a policy that was deleted is forgotten", lambda: asked(cluster, root).is_done)
    eventually("an edit of a policy holds", lambda: asked(cluster, at.pod(lab, cpu="16")).is_done)

    stored = kubectl.create(at.pod(reborn))
    assert stored["metadata"]["labels"]["cost-center"] == "engineering-beta"
    assert not asked(cluster, at.privileged(reborn)).is_done
    eventually("all watches are up to date", lambda: "may be out of date" not in podgate.readiness()[1])


def test_with_podgate_gone_pods_start_wherever_the_cluster_must_start(cluster: Installation) -> None:
    kubectl, podgate = cluster.kubectl, cluster.podgate
    team = cluster.namespace("team-alone", cost_center="engineering-alpha")
    kubectl.create(at.workload("Deployment", team))
    register(cluster, "overlays/fail-closed")
    eventually("security fails closed", lambda: _policies(cluster)["security.podgate.dev"] == "Fail")
    assert asked(cluster, at.pod(team)).is_done, "an apply over the webhook objects keeps the bundle in them"

    podgate.kill()

    for namespace in ("kube-system", "kube-public", "kube-node-lease"):
        assert kubectl.apply(at.privileged(namespace)).is_done
    template = kubectl.get("deployment", "podgate", "-n", "podgate")["spec"]["template"]
    replica = {**at.pod("podgate", "podgate-next"), "spec": template["spec"]}
    assert kubectl.apply(replica).is_done, "Podgate itself, before anything else"
    refused = kubectl.apply(at.pod(team))
    assert 'failed calling webhook "security.podgate.dev"' in refused.err
    assert not refused.is_done
    assert kubectl("scale", "deployment/web", "-n", team, "--replicas=3").is_done, "no workload waits for Podgate"

    register(cluster, "base")
    eventually("pods start everywhere", lambda: asked(cluster, at.privileged(team)).is_done)
    podgate.start()
    eventually("they are judged again", lambda: not asked(cluster, at.privileged(team)).is_done)


def test_a_process_that_starts_counts_what_came_while_it_was_away(cluster: Installation) -> None:
    team = cluster.namespace("team-counted", cost_center="engineering-alpha")
    assert cluster.kubectl.apply(at.budget("counted", team, "60")).is_done
    assert cluster.podgate.stop() == 0, "asked to end, it ends well"
    for name in ("first", "second"):
        assert cluster.kubectl.apply(at.pod(team, name, cpu="1", memory="1Gi")).is_done
    cluster.podgate.start()

    said = cluster.kubectl.apply(at.pod(team, "third", cpu="1", memory="1Gi"))

    assert not said.is_done
    assert 'budget "counted": $52.34 of $60.00 a month committed, this pod adds $26.17' in said.err
    assert asked(cluster, at.pod(team, "third")).is_done, "a small one still fits"


def test_webhook_objects_that_were_removed_stay_removed(cluster: Installation) -> None:
    team = cluster.namespace("team-removed", cost_center="engineering-alpha")
    for kind in at.HOOKS:
        cluster.kubectl.must("delete", kind, "podgate")

    eventually("nobody is asked any more", lambda: asked(cluster, at.privileged(team)).is_done)

    assert cluster.podgate.stop() == 0
    for kind in at.HOOKS:
        assert not cluster.kubectl("get", kind, "podgate").is_done


def _policies(cluster: Installation) -> dict[str, str]:
    """Return the failure policy of every validating entry."""
    return {
        entry["name"]: entry["failurePolicy"]
        for entry in cluster.kubectl.get("ValidatingWebhookConfiguration", "podgate")["webhooks"]
    }
