"""Section ``binPacking``: a scheduler that fills nodes, and the spread that keeps replicas apart all the same."""

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from webhook.policy.model.names import DnsSubdomain, LabelKey, dns_subdomain
from webhook.policy.model.sections import ApiRule, FieldError, Many, Model, Section


class TopologySpreadModel(Model):
    """A topology spread constraint; its selector is the one of the pod's owner."""

    max_skew: Annotated[
        int,
        Field(
            ge=1,
            description="How many pods more than the emptiest domain one may hold, at least 1. Default 3: packed, yet "
            "not all on one node.",
        ),
    ] = 3
    topology_key: Annotated[
        LabelKey, Field(description="Node label whose values are the domains, such as kubernetes.io/hostname.")
    ]
    when_unsatisfiable: Annotated[
        Literal["DoNotSchedule", "ScheduleAnyway"],
        Field(
            description="What the scheduler does where it cannot hold. Default ScheduleAnyway: no pod stays pending."
        ),
    ] = "ScheduleAnyway"


class BinPackingSection(Section):
    """A bin-packing scheduler for pods that name none, so that fewer nodes are needed."""

    API_RULES = (
        ApiRule(
            "(has(self.schedulerName) && self.schedulerName != '') || (has(self.mode) && self.mode == 'off')",
            "schedulerName is required; add the scheduler's name, such as bin-packing-scheduler",
        ),
    )

    scheduler_name: Annotated[
        str,
        Field(
            description="Scheduler that is set where the pod has none or `default-scheduler`, while its Lease is "
            "fresh. Required unless this section's mode is off."
        ),
    ] = ""
    known_schedulers: Annotated[
        Many[DnsSubdomain],
        Field(
            description="Further schedulers that run in this cluster, such as volcano: a pod may name them without a "
            "warning. Default none."
        ),
    ] = ()
    topology_spread: Annotated[
        TopologySpreadModel | None,
        Field(description="Topology spread constraint that is appended where the pod has none; absent adds none."),
    ] = None
    allow_skip: Annotated[
        bool,
        Field(description="Whether a pod's annotation `podgate.dev/skip: binPacking` is honoured. Default false."),
    ] = False

    @field_validator("scheduler_name")
    @classmethod
    def _is_named(cls, name: str, info: ValidationInfo) -> str:
        if name:
            return dns_subdomain(name)
        if info.data.get("mode") != "off":
            raise FieldError("is required", "Add the scheduler's name, such as bin-packing-scheduler.")
        return name


SECTION = BinPackingSection
