"""The kind `PriceList`: what a core, a GiB of memory, a GPU, other resources and volumes cost."""

from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from webhook.kube import quantity
from webhook.policy.model.match import SelectorModel
from webhook.policy.model.names import DnsSubdomain, LabelKey, LabelValue
from webhook.policy.model.sections import ApiRule, FieldError, Many, Model, MoneyAmount, QuantityText

KIND: Final = "PriceList"

POOL_LABELS: Final = (
    "karpenter.sh/nodepool",
    "cloud.google.com/gke-nodepool",
    "eks.amazonaws.com/nodegroup",
    "kubernetes.azure.com/agentpool",
)
"""Node labels by which Karpenter, GKE, EKS and AKS name the pool of a node."""

Currency = Annotated[
    str,
    Field(pattern=r"^[A-Z]{3}$", description="Currency of all amounts, as an ISO 4217 code such as USD."),
]


def _has_no_field_of_its_own(resource: str) -> str:
    fields = {"cpu": "cpuCoreHour", "memory": "memoryGiBHour"}
    if resource in fields:
        raise FieldError(f"must not name {resource}, which has a field of its own", f"Use {fields[resource]}.")
    return resource


ResourceName = Annotated[LabelKey, AfterValidator(_has_no_field_of_its_own)]


class RatesModel(Model):
    """Hourly prices of one capacity type, as decimal strings in the list's currency."""

    API_RULES = (
        ApiRule(
            "!has(self.resources) || !('cpu' in self.resources || 'memory' in self.resources)",
            "resources must not name cpu or memory, which have fields of their own: cpuCoreHour and memoryGiBHour",
        ),
    )

    cpu_core_hour: Annotated[MoneyAmount, Field(description='Price of one CPU core for one hour, such as "0.031611".')]
    memory_gib_hour: Annotated[
        MoneyAmount,
        Field(alias="memoryGiBHour", description='Price of one GiB (2^30 bytes) for one hour, such as "0.004237".'),
    ]
    gpu_hour: Annotated[
        MoneyAmount,
        Field(description='Price of one GPU for one hour, such as "0.95"; of every vendor that `resources` omits.'),
    ]
    resources: Annotated[
        dict[ResourceName, MoneyAmount],
        Field(
            description="Prices of other resources by name, for one hour: of one unit, such as "
            "`nvidia.com/mig-1g.5gb`; of one GiB for `ephemeral-storage` and `hugepages-*`. Of what is not named, "
            "huge pages cost what memory does, and the rest is told to have no price."
        ),
    ] = Field(default_factory=dict)
    claims: Annotated[
        dict[DnsSubdomain, MoneyAmount],
        Field(
            description="Prices of devices by device class, for one device and hour, such as "
            '`gpu.nvidia.com: "0.95"`: of ResourceClaims, and of extended resources that a DeviceClass stands behind.'
        ),
    ] = Field(default_factory=dict)


class AssumedRequestModel(Model):
    """What a container with neither request nor limit is priced with, so that nothing is ever free."""

    API_RULES = (
        ApiRule(
            "!has(self.cpu) || !has(self.memory) || string(self.cpu).matches('^[^eE]*[1-9]') || "
            "string(self.memory).matches('^[^eE]*[1-9]')",
            "one of cpu and memory must be greater than 0, or containers without requests are free",
        ),
    )

    cpu: Annotated[QuantityText, Field(description="CPU assumed where a container states none. Default 100m.")] = "100m"
    memory: Annotated[
        QuantityText, Field(description="Memory assumed where a container states none. Default 128Mi.")
    ] = "128Mi"

    @model_validator(mode="after")
    def _is_not_free(self) -> Self:
        if not quantity.parse(self.cpu).nano and not quantity.parse(self.memory).nano:
            raise FieldError(
                "must not be nothing at all, or containers without requests are free",
                "Write for example {cpu: 100m, memory: 128Mi}, or remove it for that default.",
            )
        return self


class TaintModel(Model):
    """A taint of nodes."""

    key: Annotated[LabelKey, Field(description="Key of the taint.")]
    value: Annotated[LabelValue, Field(description="Value of the taint. Default empty.")] = ""
    effect: Annotated[
        Literal["NoSchedule", "NoExecute"], Field(description="Effect of the taint. Default NoSchedule.")
    ] = "NoSchedule"


class NodesModel(Model):
    """The nodes of a pool."""

    API_RULES = (
        ApiRule(
            "self.selectors.all(each, (has(each.matchLabels) && size(each.matchLabels) > 0) || "
            "(has(each.matchExpressions) && size(each.matchExpressions) > 0))",
            "a selector that selects every node is what the list `default` is for; name a label of the pool's nodes",
        ),
    )

    selectors: Annotated[
        Many[SelectorModel],
        Field(
            min_length=1,
            description="Selectors over labels of nodes, such as node.kubernetes.io/instance-type; a node that one of "
            "them selects is a node of this pool.",
        ),
    ]
    taints: Annotated[
        Many[TaintModel],
        Field(description="Taints of all nodes of the pool: a pod that does not tolerate them cannot run there."),
    ] = ()
    capacity: Annotated[
        Literal["any", "onDemand", "spot"],
        Field(
            description="Capacity type of all nodes of the pool. Default any: a pod is priced as spot where it can run "
            "on nothing else, or where the policy says so."
        ),
    ] = "any"

    @field_validator("selectors")
    @classmethod
    def _select_something(cls, value: tuple[SelectorModel, ...]) -> tuple[SelectorModel, ...]:
        for index, selector in enumerate(value):
            if not selector.match_labels and not selector.match_expressions:
                raise FieldError(
                    "selects every node, which is what the list `default` is for",
                    "Name a label of the pool's nodes.",
                    path=(index,),
                )
        return value


class StorageModel(Model):
    """Prices of volumes that are paid for with a pod, as decimal strings in the list's currency."""

    volume_gib_month: Annotated[
        MoneyAmount,
        Field(
            alias="volumeGiBMonth",
            description='Price of one GiB (2^30 bytes) of a volume for one month, such as "0.04"; of every storage '
            "class that `classes` omits, and of claims that name none.",
        ),
    ]
    classes: Annotated[
        dict[DnsSubdomain, MoneyAmount],
        Field(description='Prices of one GiB for one month by storage class, such as `gp3: "0.08"`.'),
    ] = Field(default_factory=dict)


class PriceListSpec(Model):
    """Prices. The list named `default` is the one that is used; others are for named node pools."""

    API_RULES = (
        ApiRule(
            "!has(self.spot) || !has(self.spot.resources) || self.spot.resources.all(name, "
            "has(self.onDemand.resources) && name in self.onDemand.resources)",
            "what spot.resources names needs a price in onDemand.resources as well: a pod may land on either",
        ),
    )
    API_DOCUMENT_RULES = (
        ApiRule(
            "self.metadata.name != 'default' || !has(self.spec.nodes)",
            "the list named default is for nodes that no other list is for; remove spec.nodes, or give it another name",
        ),
        ApiRule(
            "self.metadata.name == 'default' || !has(self.spec.storage)",
            "spec.storage belongs to the list named default: a volume is on no node, so it has one price",
        ),
    )

    currency: Currency
    nodes: Annotated[
        NodesModel | None,
        Field(
            description="The node pool that this list is for; not in the list `default`. Without it, a list is for the "
            "pool that Karpenter, GKE, EKS or AKS labels with the list's name."
        ),
    ] = None
    hours_per_month: Annotated[
        int,
        Field(
            ge=1,
            le=744,
            description="Hours that a monthly figure stands for, 1 to 744. Default 730; lists of node pools follow the "
            "list `default`.",
        ),
    ] = 730
    on_demand: Annotated[RatesModel, Field(description="Prices of on-demand capacity.")]
    spot: Annotated[
        RatesModel | None,
        Field(description="Prices of spot capacity. Without it, spot capacity is priced as on-demand."),
    ] = None
    storage: Annotated[
        StorageModel | None,
        Field(description="Prices of volumes; only in the list `default`. Without it, volumes cost nothing."),
    ] = None
    assumed_request: Annotated[
        AssumedRequestModel,
        Field(
            description="What a container with neither request nor limit is priced with; lists of node pools without "
            "it follow the list `default`."
        ),
    ] = AssumedRequestModel()

    @model_validator(mode="after")
    def _spot_names_nothing_new(self) -> Self:
        if self.spot is None:
            return self
        for field, named, known in (
            ("resources", self.spot.resources, self.on_demand.resources),
            ("claims", self.spot.claims, self.on_demand.claims),
        ):
            unknown = sorted(set(named) - set(known))
            if unknown:
                raise FieldError(
                    f"has no price of it in onDemand.{field}",
                    "Give it there as well: a pod may land on either.",
                    path=("spot", field, unknown[0]),
                )
        return self


SPEC = PriceListSpec
