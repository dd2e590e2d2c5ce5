"""Section ``spot``: tolerations and a preference that let batch pods run on spot nodes."""

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from webhook.policy.model.names import LabelKey, LabelValue, label_key
from webhook.policy.model.sections import ApiRule, FieldError, Many, Model, Section


class TolerationModel(Model):
    """A toleration, checked as Kubernetes checks it."""

    API_RULES = (
        ApiRule(
            "(has(self.operator) && self.operator == 'Exists') || (has(self.key) && self.key != '')",
            "key is required with operator Equal; name the taint's key, such as kubernetes.io/spot",
        ),
        ApiRule(
            "!has(self.operator) || self.operator != 'Exists' || !has(self.value) || self.value == ''",
            "value must be empty with operator Exists; remove it, or write operator Equal",
        ),
    )

    operator: Annotated[
        Literal["Equal", "Exists"],
        Field(description="Equal compares the value, Exists takes any. Default Equal, as in Kubernetes."),
    ] = "Equal"
    key: Annotated[
        str,
        Field(description="Key of the taint; empty, with operator Exists, tolerates every taint."),
    ] = ""
    value: Annotated[LabelValue, Field(description="Value of the taint; must be empty with operator Exists.")] = ""
    effect: Annotated[
        Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None,
        Field(description="Effect of the taint; absent tolerates all effects, as in Kubernetes."),
    ] = None

    @field_validator("key")
    @classmethod
    def _key_fits_operator(cls, key: str, info: ValidationInfo) -> str:
        if key:
            return label_key(key)
        if info.data.get("operator") == "Equal":
            raise FieldError("is required with operator Equal", "Name the taint's key, such as kubernetes.io/spot.")
        return key

    @field_validator("value")
    @classmethod
    def _no_value_with_exists(cls, value: str, info: ValidationInfo) -> str:
        if value and info.data.get("operator") == "Exists":
            raise FieldError("must be empty with operator Exists", "Remove it, or write operator Equal.")
        return value


class NodeAffinityModel(Model):
    """A preference for nodes with a label; never a requirement, so that pods still start where no spot node is."""

    weight: Annotated[
        int,
        Field(
            ge=1, le=100, description="Weight of the preference, 1 to 100. Default 90: strong, yet other wishes count."
        ),
    ] = 90
    key: Annotated[LabelKey, Field(description="Key of the node label, such as node.kubernetes.io/lifecycle.")]
    values: Annotated[Many[LabelValue], Field(min_length=1, description="Values of it that mark spot nodes.")]


class SpotSection(Section):
    """Spot tolerations, and a preference for spot nodes, for pods that can be interrupted."""

    forbid: Annotated[
        bool,
        Field(
            description="Whether pods must not run on spot: nothing is added, and a pod that asks for spot capacity by "
            "selector, affinity or toleration is refused. `tolerations` and `nodeAffinity` then say what else marks "
            "spot nodes here. Default false."
        ),
    ] = False
    tolerations: Annotated[
        Many[TolerationModel],
        Field(description="Tolerations that are appended to the pod where an equal one is missing."),
    ] = ()
    node_affinity: Annotated[
        NodeAffinityModel | None,
        Field(description="Preferred node affinity that is appended to the pod; absent adds none."),
    ] = None
    skip_stateful: Annotated[
        bool,
        Field(
            description="Whether StatefulSet pods and pods with persistent volume claims stay off spot. Default true, "
            "because they lose time, or data, when they are interrupted."
        ),
    ] = True
    skip_uninterruptible: Annotated[
        bool,
        Field(
            description="Whether pods that must not be evicted stay off spot: by annotation, or because their "
            "PodDisruptionBudget lets none go. Default true; DaemonSets are not concerned."
        ),
    ] = True
    skip_single_replica: Annotated[
        bool,
        Field(
            description="Whether the only replica of a workload stays off spot, unless an autoscaler sees to more. "
            "Default false."
        ),
    ] = False
    skip_host_path: Annotated[
        bool,
        Field(description="Whether pods with hostPath volumes stay off spot. Default false."),
    ] = False
    skip_no_retry: Annotated[
        bool,
        Field(
            description="Whether pods that nothing runs again stay off spot: of Jobs with backoffLimit 0, and with "
            "restartPolicy Never those that no controller owns. Default false."
        ),
    ] = False
    notice_seconds: Annotated[
        int,
        Field(
            ge=1,
            le=86_400,
            description="Seconds between a spot node's notice and its loss, 1 to 86400; pods whose "
            "terminationGracePeriodSeconds is longer stay off spot. Default 120, as of AWS; GKE and AKS give 30.",
        ),
    ] = 120
    price_as: Annotated[
        Literal["onDemand", "spot"],
        Field(
            description="How a pod that may, but need not, land on spot is priced. Default onDemand, the dearer one, "
            "so that a budget is never broken by a lack of spot nodes."
        ),
    ] = "onDemand"
    allow_skip: Annotated[
        bool,
        Field(description="Whether a pod's annotation `podgate.dev/skip: spot` is honoured. Default false."),
    ] = False

    @field_validator("node_affinity")
    @classmethod
    def _does_something(cls, value: NodeAffinityModel | None, info: ValidationInfo) -> NodeAffinityModel | None:
        given = info.data
        does_nothing = value is None and given.get("tolerations") == () and not given.get("forbid")
        if does_nothing and given.get("mode") != "off":
            raise FieldError(
                "has neither tolerations nor nodeAffinity, so that it would do nothing",
                "Add tolerations, or remove the section.",
                up=1,
            )
        return value

    @field_validator("price_as")
    @classmethod
    def _is_possible(cls, value: str, info: ValidationInfo) -> str:
        if value == "spot" and info.data.get("forbid"):
            raise FieldError("prices pods as spot that forbid keeps off spot", "Remove priceAs, or forbid.")
        return value


SECTION = SpotSection
