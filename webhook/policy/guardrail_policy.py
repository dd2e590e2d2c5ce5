"""``kind: GuardrailPolicy``: which guardrails hold for which pods, and how strictly."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, ValidationInfo, create_model, field_validator
from pydantic.alias_generators import to_camel

from webhook.policy.model import discovery
from webhook.policy.model.match import MatchModel
from webhook.policy.model.names import Glob
from webhook.policy.model.sections import ApiRule, FieldError, Many, Mode, Model, Section, stricter_cap


class ExceptionsModel(Model):
    """Where PolicyExceptions may loosen a policy, and for how long."""

    allowed: Annotated[
        bool, Field(description="Whether PolicyExceptions may loosen this policy at all. Default true.")
    ] = True
    max_days: Annotated[
        int,
        Field(
            ge=1,
            le=3650,
            description="Days from today within which an exception must expire; one that expires later has no effect. "
            "Default 90, so that each exception is looked at again every quarter.",
        ),
    ] = 90
    namespaces: Annotated[
        Many[Glob], Field(description="Globs over the namespaces whose exceptions count. Default all.")
    ] = ("*",)


class GuardrailPolicySpec(Model):
    """What a GuardrailPolicy asks for; each guardrail that is configured has a section of its own name."""

    API_RULES = (
        ApiRule(
            "!has(self.costLabels) || !has(self.costLabels.required) || !has(self.match) || "
            "!has(self.match.podSelector) || self.costLabels.required.all(label, "
            "(!has(self.match.podSelector.matchLabels) || !(label.key in self.match.podSelector.matchLabels)) && "
            "(!has(self.match.podSelector.matchExpressions) || "
            "self.match.podSelector.matchExpressions.all(each, each.key != label.key)))",
            "match.podSelector must not select by a label that costLabels writes; select by another label, or by "
            "namespaces",
        ),
    )

    mode: Annotated[
        Mode,
        Field(
            description="Mode of every guardrail below that sets none of its own: enforce (mutate and refuse), warn "
            "(tell the user), audit (record only) or off. Required, so that nobody enforces by accident."
        ),
    ]
    priority: Annotated[
        int,
        Field(
            ge=-1_000_000,
            le=1_000_000,
            description="Where several policies configure the same guardrail for one pod, the highest priority wins, "
            "then the smaller name. Default 0.",
        ),
    ] = 0
    match: Annotated[
        MatchModel,
        Field(description="Which pods the policy is for, judged on the object as received; empty matches all."),
    ] = MatchModel()
    exceptions: Annotated[
        ExceptionsModel, Field(description="Where PolicyExceptions may loosen this policy, and for how long.")
    ] = ExceptionsModel()

    @field_validator("*")
    @classmethod
    def _selects_by_labels_it_does_not_write(cls, value: object, info: ValidationInfo) -> object:
        match = info.data.get("match")
        if not isinstance(value, Section) or match is None or match.pod_selector is None:
            return value
        for key in sorted(value.written_labels):
            path = match.pod_selector.path_of(key)
            if path is not None:
                section = to_camel(info.field_name or "")
                raise FieldError(
                    f"selects pods by `{key}`, a label that {section} of the same policy writes",
                    "Select by another label, or by namespaces.",
                    path=("match", "podSelector", *path),
                    up=1,
                )
        return value

    @property
    def sections(self) -> Mapping[str, Section]:
        """The sections that are there, by YAML name."""
        found = {item.name: getattr(self, item.attribute, None) for item in discovery.sections().values()}
        return {name: section for name, section in found.items() if section is not None}

    def mode_of(self, section: str) -> Mode:
        """Return the mode of a section by YAML name: its own, else the policy's; ``off`` where it is absent."""
        model = self.sections.get(section)
        if model is None:
            return "off"
        return model.mode or self.mode

    def violation_mode_of(self, section: str) -> Mode:
        """Return what a violation means: ``onViolation``, else the mode, and never stricter than the mode."""
        mode = self.mode_of(section)
        model = self.sections.get(section)
        return stricter_cap(model.on_violation or mode, mode) if model is not None else mode


def _with_sections() -> type[GuardrailPolicySpec]:
    fields: dict[str, Any] = {}
    for item in discovery.sections().values():
        summary = " ".join((item.model.__doc__ or "").split("\n\n")[0].split())
        fields[item.attribute] = (Annotated[item.model | None, Field(description=summary)], None)
    return create_model(
        "GuardrailPolicySpec",
        __base__=GuardrailPolicySpec,
        __module__=__name__,
        __doc__=GuardrailPolicySpec.__doc__,
        **fields,
    )


KIND = "GuardrailPolicy"
SPEC: type[GuardrailPolicySpec] = _with_sections()
