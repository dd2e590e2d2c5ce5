# ruff: noqa: ANN401  # JSON documents may be anything
"""Pods that are copies of one another, and the cluster they come from."""

from typing import Any

from tests import factories


def deployed(name: str = "x2v4z", **changes: Any) -> dict[str, Any]:
    """A pod of a Deployment, with what the API server makes different in each copy."""
    return factories.pod(
        metadata={
            "generateName": "shop-7d9c8b6f5-",
            "name": f"shop-7d9c8b6f5-{name}",
            "labels": {"app": "shop", "pod-template-hash": "7d9c8b6f5"},
            "ownerReferences": [
                {
                    "apiVersion": "apps/v1",
                    "kind": "ReplicaSet",
                    "name": "shop-7d9c8b6f5",
                    "uid": "r",
                    "controller": True,
                }
            ],
        },
        volumes=[{"name": f"kube-api-access-{name}", "projected": {"sources": []}}],
        **changes,
    )


def rich_pod() -> dict[str, Any]:
    """A pod with most of what guardrails look at."""
    port = {"containerPort": 80, "hostPort": 0}
    secure = {
        "privileged": False,
        "allowPrivilegeEscalation": False,
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "procMount": "Default",
        "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
        "seccompProfile": {"type": "RuntimeDefault"},
        "appArmorProfile": {"type": "RuntimeDefault"},
        "seLinuxOptions": {"type": "container_t", "level": "s0"},
    }
    app = factories.container(ports=[port], securityContext=secure, livenessProbe={"httpGet": {"host": ""}})
    app["resources"]["limits"] = {"cpu": "2", "memory": "12Gi"}
    helper = factories.container("helper", cpu="100m", memory=None, restartPolicy="Always", securityContext=secure)
    pod = deployed(
        initContainers=[helper],
        securityContext={
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
            "sysctls": [{"name": "x.y"}],
        },
        nodeSelector={"disk": "ssd"},
        tolerations=[{"key": "a", "operator": "Equal", "value": "b", "effect": "NoSchedule", "tolerationSeconds": 3}],
        priority=0,
        priorityClassName="low",
        hostNetwork=False,
        hostPID=False,
        hostIPC=False,
        hostUsers=True,
        os={"name": "linux"},
        overhead={"cpu": "10m"},
        runtimeClassName="runc",
        nodeName="node-1",
        topologySpreadConstraints=[{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}],
        affinity={
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [
                        {
                            "matchExpressions": [
                                {"key": "karpenter.sh/capacity-type", "operator": "In", "values": ["spot"]}
                            ]
                        }
                    ]
                }
            }
        },
    )
    pod["spec"]["containers"] = [app]
    pod["spec"]["volumes"] += [
        {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
        {"name": "tmp", "emptyDir": {}},
    ]
    pod["metadata"]["annotations"] = {"container.apparmor.security.beta.kubernetes.io/app": "runtime/default"}
    return pod


CLUSTER = [
    factories.namespace("team-alpha", {"cost-center": "alpha"}),
    {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "shop", "namespace": "team-alpha"},
        "spec": {"selector": {"matchLabels": {"app": "shop"}}, "template": {"metadata": {"labels": {"app": "shop"}}}},
    },
    {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": "shop-7d9c8b6f5",
            "namespace": "team-alpha",
            "uid": "r",
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop", "controller": True}],
        },
    },
    {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "packer", "namespace": "kube-system"},
        "spec": {"holderIdentity": "packer-1"},
    },
]
VPA = {
    "apiVersion": "autoscaling.k8s.io/v1",
    "kind": "VerticalPodAutoscaler",
    "metadata": {"name": "shop", "namespace": "team-alpha"},
    "spec": {
        "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"},
        "updatePolicy": {"updateMode": "Off"},
    },
    "status": {
        "recommendation": {
            "containerRecommendations": [{"containerName": "app", "target": {"cpu": "300m", "memory": "1Gi"}}]
        }
    },
}
LIMIT_RANGE = {
    "apiVersion": "v1",
    "kind": "LimitRange",
    "metadata": {"name": "bounds", "namespace": "team-alpha"},
    "spec": {"limits": [{"type": "Container", "max": {"cpu": "500m"}}]},
}
HPA = {
    "apiVersion": "autoscaling/v2",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "shop", "namespace": "team-alpha"},
    "spec": {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"},
        "maxReplicas": 3,
        "metrics": [
            {
                "type": "Resource",
                "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}},
            }
        ],
    },
}
