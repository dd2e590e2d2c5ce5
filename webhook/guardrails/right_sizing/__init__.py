"""Right-sizing: requests from VerticalPodAutoscaler recommendations, limits at a stated headroom above them.

**Rule.** A new pod whose workload has a VPA gets, container by container, the recommended request, and as limit the
request times the headroom. Nothing is ever refused by this guardrail; with `mode: audit` or `warn` the patch is only
recorded. Without a VPA, or for a container or resource without a recommendation, nothing happens.

**Whose recommendation.** The VPA whose target is the pod's top-most controller and whose target selects the pod;
VPAs of every updateMode count. Of several, one that acts (updateMode neither Off nor Initial) counts before one that
recommends, then the older one, then the smaller name, and the verdict says so once. The pods of a CronJob may be
without labels, and those of an Argo Rollout are known by `rollouts-pod-template-hash` before their ReplicaSet is. The
policy of the exact container name applies, else the last `*`: `mode: "Off"`,
`controlledResources`, `minAllowed`, `maxAllowed` (both on requests only) and `controlledValues`. With `RequestsOnly`
the limit is left alone and the request never exceeds it. Where VPA itself acts (updateMode neither Off nor Initial),
the request is VPA's own capped target, exactly, and only the limit is decided here; `recommendation`, `when`,
`minimum`, `maximum` and `minChangePercent` have no say then.

**Fields.**

* `recommendation` (target | lowerBound | upperBound | uncappedTarget; default target).
* `when`: `always`; `missing`, only absent requests; `oversized`, only ever lowers a request. It is about requests;
  limits follow from whatever request results.
* `limitHeadroom` `{cpu: 3, memory: 2}`: numbers from 1 to 100, or `none` to leave limits alone (a request then never
  exceeds the limit that is there). Limits are rounded up to whole millicores and whole MiB.
* `lowerLimits: false`: a limit that the author set is never lowered, only raised.
* `limitFloor`, `limitMaximum`: bounds of computed limits. A recommendation above `limitMaximum` is lowered to it;
  where the author's own request is above it, the limit is left alone.
* `minimum`, `maximum`: bounds of the recommendation that is applied. They never lower the author's request by
  themselves: a request of 1500m under a recommendation of 2 and a maximum of 1 stays 1500m.
* `minChangePercent` (default 5): a request that would change by less stays; its limit is computed from the author's
  value.
* `guaranteedPods`: `skip`, or `resize`, which keeps limit = request and whole CPUs whole (rounded up).
* `hpaManaged`: `skip` leaves a resource alone whose utilization drives a HorizontalPodAutoscaler of the same
  workload; `resize` sizes it as well. Autoscaling on averageValue is no obstacle. Where a container has no request at
  all, such an autoscaler cannot compute anything, so the recommended one is filled in. A ScaledObject of KEDA counts as
  the HorizontalPodAutoscaler that KEDA makes of it.

**What is never touched.** Keys other than cpu and memory (extended resources, hugepages, ephemeral-storage),
resource claims, ordinary init and ephemeral containers, Windows pods, pods with `spec.resources`, pods of more than
500 containers, resources with a limit of 0, and containers that a PolicyException names. Native sidecars are sized
like regular containers. Lowered memory never falls below the VPA's lowerBound. The cpu of a container that the VPA
boosts while it starts (`startupBoost`) is left as it is.

**Clamps, in this order; the last one wins.** VPA policy, the rule's bounds, LimitRange of type Container (every
LimitRange of the namespace: highest min, lowest max, lowest maxLimitRequestRatio), LimitRange of type Pod with init
containers and sidecars in the sums (headroom shrinks first, requests last and never below the author's). If the API
server would still refuse the result, the pod is left as written.

**ResourceQuotas.** The pod never grows beyond what the quotas of its namespace have left: first the headroom of its
limits is cut, and where that is not enough, the resource is left as written. No value that a quota asks for is ever
removed. A quota whose scopes leave the pod out has no say.

**Nodes.** Where the recommendation makes the pod larger than every node of the cluster, it is applied and told, with
the node that comes nearest: VPA's updater would only evict a pod of another size.

**Once only.** What the author wrote is kept in the annotation `podgate.dev/original-resources`. A second pass, such
as a reinvocation after another webhook has added a sidecar, starts from there again and writes nothing new.

**Notices** (closed list): noRecommendation, malformedRecommendation, malformedResources, hpaManaged, guaranteed,
windows, podLevelResources, zeroLimit, clampFailed, quotaLimited, tooManyContainers, severalVpas, startupBoost,
hpaWithoutRequest, aboveEveryNode.

**Example message.** container 'app': cpu is left as written, because HorizontalPodAutoscaler 'web' follows its
utilization.

**How to comply.** There is nothing to comply with. To keep exact values, set the VPA's container policy to `mode:
Off` or ask for a PolicyException that names the container.

**Source of the rule.** Matching, container policies and capping: kubernetes/autoscaler, vertical-pod-autoscaler.
What the API server checks: Kubernetes pod validation, QoS classes, and the LimitRanger admission plugin.
"""

from collections.abc import Container, Sequence
from typing import Final

from webhook.guardrails.base.contract import Context, Exemption, Finding, Guardrail, is_creation
from webhook.guardrails.right_sizing import originals, room
from webhook.guardrails.right_sizing.notices import several_vpas
from webhook.guardrails.right_sizing.rule import RightSizingRule, compile_section
from webhook.guardrails.right_sizing.sizing_plan import plan
from webhook.kube.containers import ContainerRef
from webhook.kube.patch import Draft
from webhook.policy.right_sizing import RightSizingSection

NAME: Final = "rightSizing"


class _Everything:
    """Contains every container name."""

    def __contains__(self, _name: object) -> bool:
        return True


_NO_FINDINGS: Final[tuple[Finding, ...]] = ()
_EVERYTHING: Final = _Everything()


def propose(rule: RightSizingRule, context: Context, draft: Draft) -> Sequence[Finding]:
    """Write requests and limits into the draft, and the annotation with what stood there before."""
    if not is_creation(context):
        return _NO_FINDINGS
    controller = context.controller
    if controller is None:
        return _NO_FINDINGS
    view = context.view
    found = view.vertical_pod_autoscalers(context.namespace, controller, context.labels)
    if not found:
        return _NO_FINDINGS
    exemptions = context.exemptions.get(NAME)
    sizing = plan(
        rule,
        draft.pod,
        found[0],
        hpas=view.horizontal_pod_autoscalers(context.namespace, controller),
        limit_ranges=view.limit_ranges(context.namespace),
        quotas=view.resource_quotas(context.namespace),
        nodes=room.of(view.nodes()),
        exempt=_exempt(exemptions) if exemptions else None,
    )
    spec = draft.pod.spec
    if sizing.annotation is not None and spec is not None:
        for place, position, field, resource, text in sizing.changes:
            containers = spec.containers if place == "containers" else spec.init_containers
            if containers is not None:
                draft.set_resource(ContainerRef(place, position, containers[position]), field, resource, text)
        draft.set_annotation(originals.ANNOTATION, sizing.annotation)
    if len(found) > 1:
        return (several_vpas(found, f"{controller.kind} {controller.name!r}"), *sizing.notices)
    return sizing.notices


def inspect(_rule: RightSizingRule, _context: Context) -> Sequence[Finding]:
    """Return nothing: no size is a violation."""
    return _NO_FINDINGS


def _exempt(exemptions: Sequence[Exemption]) -> Container[str]:
    """Return the names of exempt containers; an exemption that names none is for all of them."""
    names: set[str] = set()
    for exemption in exemptions:
        if exemption.containers is None:
            return _EVERYTHING
        names |= exemption.containers
    return names


GUARDRAIL: Final = Guardrail[RightSizingSection, RightSizingRule](
    name=NAME,
    order=20,
    compile=compile_section,
    inspect=inspect,
    severity="low",
    propose=propose,
    scope="container",
    refuses=False,
)
