"""The `costCeiling` section of a GuardrailPolicy: the most that one pod, or one workload, may cost a month."""

from typing import Annotated

from pydantic import Field, model_validator

from webhook.policy.model.sections import ApiRule, FieldError, MoneyAmount, Section, Unpriced


class CostCeilingSection(Section):
    """Ceilings of monthly cost. At least one is given; amounts are in the price list's currency."""

    API_RULES = (
        ApiRule(
            "has(self.podMonthly) || has(self.workloadMonthly) || (has(self.mode) && self.mode == 'off')",
            "give podMonthly, workloadMonthly or both, or remove the section",
        ),
    )

    pod_monthly: Annotated[
        MoneyAmount | None,
        Field(
            description='Most that one pod may cost a month, as a decimal string such as "300", in the price list\'s '
            "currency. Without it, single pods have no ceiling."
        ),
    ] = None
    workload_monthly: Annotated[
        MoneyAmount | None,
        Field(
            description='Most that a workload (replicas x pod) may cost a month, as a decimal string such as "2000", '
            "in the price list's currency. Without it, workloads have no ceiling."
        ),
    ] = None
    trust_expected_runtime: Annotated[
        bool,
        Field(
            description="Whether the annotation `podgate.dev/expected-runtime` of a Job or CronJob is believed where "
            "no activeDeadlineSeconds bounds its run. Default false: it then costs the whole month."
        ),
    ] = False

    unpriced: Annotated[
        Unpriced,
        Field(
            description="What becomes of a pod that asks for a resource which the price list has no price of: allow "
            "lets it in and says so, deny refuses it. Default allow."
        ),
    ] = "allow"

    @model_validator(mode="after")
    def _has_a_ceiling(self) -> "CostCeilingSection":
        if self.pod_monthly is None and self.workload_monthly is None and self.mode != "off":
            raise FieldError("must set a ceiling", "Give podMonthly, workloadMonthly or both, or remove the section.")
        return self


SECTION = CostCeilingSection
