"""The ``rightSizing`` section: requests from VerticalPodAutoscaler recommendations, limits from headroom.

Numbers are kept exactly as written: headroom as a decimal, amounts as quantity texts that are checked when loaded.
"""

from decimal import Decimal, InvalidOperation
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler, WithJsonSchema, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from webhook.kube import quantity
from webhook.policy.model.sections import ApiRule, Model, QuantityText, Section

MAX_HEADROOM = 100
"""Above this a factor is a typing error, not a policy."""

_HEADROOM_HELP = f"a number from 1 to {MAX_HEADROOM}, such as 3 or 2.5, or none"


def _factor(value: object) -> object:
    """Turn a number, or a decimal in quotes, into an exact Decimal; `none` stays."""
    if value == "none":
        return value
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise ValueError(f"must be {_HEADROOM_HELP}")  # noqa: TRY004  pydantic turns it into an error
    try:
        # The shortest text of a float is what the author typed, so no binary rounding enters.
        factor = Decimal(str(value).strip())
    except InvalidOperation:
        raise ValueError(f"{quantity.shown(str(value))} is no number; write {_HEADROOM_HELP}") from None
    if not factor.is_finite() or not 1 <= factor <= MAX_HEADROOM:
        raise ValueError(f"must be {_HEADROOM_HELP}; a limit below its request would be refused by the API server")
    if -int(factor.as_tuple().exponent) > 6:
        raise ValueError("must have at most six decimal places; round it")
    return factor


Factor = Annotated[
    Decimal | Literal["none"],
    BeforeValidator(_factor),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 1, "maximum": MAX_HEADROOM},
                {"type": "string", "pattern": r"^(([1-9][0-9]?|100)(\.[0-9]{1,6})?|none)$", "maxLength": 10},
            ]
        }
    ),
]
"""A headroom factor, exact, or the word ``none``."""


class LimitHeadroom(Model):
    """How far limits stand above requests, per resource."""

    cpu: Annotated[
        Factor,
        Field(
            description="CPU limit = CPU request x this factor, rounded up to whole millicores; `none` leaves CPU "
            "limits alone. Default 3: a CPU limit throttles at once, so bursts at start-up need room."
        ),
    ] = Decimal(3)
    memory: Annotated[
        Factor,
        Field(
            description="Memory limit = memory request x this factor, rounded up to whole MiB; `none` leaves memory "
            "limits alone. Default 2: memory above the requests of a node is what node pressure evicts for."
        ),
    ] = Decimal(2)


class ResourceAmounts(Model):
    """A quantity per resource; only cpu and memory are ever sized."""

    cpu: Annotated[QuantityText | None, Field(description="CPU, such as `500m` or `2`; absent means no bound.")] = None
    memory: Annotated[
        QuantityText | None, Field(description="Memory in bytes, such as `256Mi`; absent means no bound.")
    ] = None


def _headroom(value: object) -> object:
    """Let ``limitHeadroom: none`` stand for both resources."""
    return {"cpu": "none", "memory": "none"} if value == "none" else value


class _OrTheWordNone:
    """Lets the JSON Schema of a mapping accept the text ``none`` as well, which `_headroom` turns into a mapping.

    One schema with two types and not a choice of two schemas, so that its fields stay where editors look for them.
    """

    def __get_pydantic_json_schema__(self, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler.resolve_ref_schema(handler(core_schema)), "type": ["object", "string"], "pattern": "^none$"}


def _at_most(low: str, high: str) -> ApiRule:
    """Return the rule that no bound is above another."""
    pairs = [(f"self.{low}.{resource}", f"self.{high}.{resource}") for resource in ("cpu", "memory")]
    each = [
        f"(!has({one}) || !has({other}) || quantity(string({one})).compareTo(quantity(string({other}))) <= 0)"
        for one, other in pairs
    ]
    return ApiRule(
        f"!has(self.{low}) || !has(self.{high}) || ({' && '.join(each)})",
        f"{low} must not be above {high}; lower {low} or raise {high}",
    )


class RightSizingSection(Section):
    """Requests from VPA recommendations, limits at a stated headroom above them."""

    API_RULES = (_at_most("minimum", "maximum"), _at_most("limitFloor", "limitMaximum"))

    recommendation: Annotated[
        Literal["target", "lowerBound", "upperBound", "uncappedTarget"],
        Field(
            description="Which value of the matching VPA becomes the request. Default `target`, what VPA itself would "
            "set; `uncappedTarget` ignores the VPA's minAllowed and maxAllowed. Where VPA itself acts (updateMode "
            "neither Off nor Initial) it is always `target`."
        ),
    ] = "target"
    when: Annotated[
        Literal["always", "missing", "oversized"],
        Field(
            description="Which requests are changed: `always`; `missing`, only absent ones; `oversized`, only ever "
            "downwards. Default `always`, so that requests follow the recommendation both ways."
        ),
    ] = "always"
    limit_headroom: Annotated[
        LimitHeadroom,
        BeforeValidator(_headroom),
        _OrTheWordNone(),
        Field(description="Limit = request x headroom, per resource (cpu 3, memory 2); `none` leaves both alone."),
    ] = LimitHeadroom()
    lower_limits: Annotated[
        bool,
        Field(
            description="Whether a limit that the author set may be lowered to request x headroom. Default true, "
            "because limits far above requests are what overcommits nodes; false only ever raises limits."
        ),
    ] = True
    limit_floor: Annotated[
        ResourceAmounts,
        Field(
            description="No computed limit is below it, such as `{cpu: 500m}` for slow starters. Default: no floor, "
            "the headroom alone decides."
        ),
    ] = ResourceAmounts()
    limit_maximum: Annotated[
        ResourceAmounts,
        Field(description="No computed limit is above it. Default: no maximum, because LimitRanges usually hold it."),
    ] = ResourceAmounts()
    minimum: Annotated[
        ResourceAmounts,
        Field(
            description="Smaller recommendations are raised to it before they are applied, such as `{cpu: 10m, memory: "
            "32Mi}`. Default: no minimum, because VPA has its own."
        ),
    ] = ResourceAmounts()
    maximum: Annotated[
        ResourceAmounts,
        Field(
            description="Larger recommendations are lowered to it before they are applied; it never lowers what the "
            "author asked for by itself. Default: no maximum."
        ),
    ] = ResourceAmounts()
    min_change_percent: Annotated[
        int,
        Field(
            ge=0,
            le=100,
            description="A request that would change by less than this percentage of its value stays as it is. Default "
            "5, so that recommendations that wander a little make no new pod templates.",
        ),
    ] = 5
    guaranteed_pods: Annotated[
        Literal["skip", "resize"],
        Field(
            description="Pods of QoS class Guaranteed: `skip` leaves them alone; `resize` changes request and limit "
            "together, so that they stay Guaranteed. Default `skip`, because their authors chose exact sizes."
        ),
    ] = "skip"
    hpa_managed: Annotated[
        Literal["skip", "resize"],
        Field(
            description="A resource whose utilisation drives a HorizontalPodAutoscaler of the same workload: `skip` "
            "leaves it alone, but fills it in where it is absent; `resize` sizes it as well. Default `skip`, because a "
            "smaller request raises utilisation, and with it the number of replicas."
        ),
    ] = "skip"

    @model_validator(mode="after")
    def _bounds_make_sense(self) -> Self:
        _positive("maximum", self.maximum)
        _positive("limitMaximum", self.limit_maximum)
        _ordered("minimum", self.minimum, "maximum", self.maximum)
        _ordered("limitFloor", self.limit_floor, "limitMaximum", self.limit_maximum)
        return self


def _positive(name: str, bounds: ResourceAmounts) -> None:
    if bounds.cpu is not None and quantity.parse(bounds.cpu).nano < 1_000_000:
        raise ValueError(f"{name}.cpu ({bounds.cpu}) is below one millicore; raise it, or remove it for no bound")
    if bounds.memory is not None and quantity.parse(bounds.memory).nano < 1_000_000_000:
        raise ValueError(f"{name}.memory ({bounds.memory}) is below one byte; raise it, or remove it for no bound")


def _ordered(low_name: str, low: ResourceAmounts, high_name: str, high: ResourceAmounts) -> None:
    for resource, lower, upper in (("cpu", low.cpu, high.cpu), ("memory", low.memory, high.memory)):
        if lower is not None and upper is not None and quantity.parse(lower).nano > quantity.parse(upper).nano:
            raise ValueError(
                f"{low_name}.{resource} ({lower}) is above {high_name}.{resource} ({upper}); "
                f"lower {low_name}.{resource} or raise {high_name}.{resource}"
            )


SECTION = RightSizingSection
