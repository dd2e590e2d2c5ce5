"""The format of case files: ``kind: Case``."""

import datetime as dt
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from webhook.policy.model.names import OneLine
from webhook.policy.model.sections import FieldError, Many, Model, MoneyAmount
from webhook.policy.schema.json_schema import DIALECT

API_VERSION = "podgate.dev/v1alpha1"
KIND = "Case"

ExpectedVerdict = Literal["refused", "would_refuse", "warned", "changed", "would_change", "passed", "not_judged"]
ExpectedOutcome = Literal[
    "passed",
    "changed",
    "would_change",
    "refused",
    "warned",
    "would_refuse",
    "exempt",
    "fault_allowed",
    "fault_denied",
    "absent",
]


def _moment(value: object) -> object:
    if isinstance(value, dt.datetime):
        return value
    try:
        moment = dt.datetime.fromisoformat(str(value))
    except ValueError:
        raise FieldError("must be a time", 'Write it as "2026-01-01T00:00:00Z".') from None
    if moment.tzinfo is None:
        raise FieldError("must be a time with its zone", 'Write it as "2026-01-01T00:00:00Z".')
    return moment


Moment = Annotated[dt.datetime, BeforeValidator(_moment), WithJsonSchema({"type": "string", "format": "date-time"})]
KubernetesObject = Annotated[dict[str, Any], Field(description="An ordinary Kubernetes object.")]
Source = Annotated[str | dict[str, Any], Field(union_mode="left_to_right")]
"""A path below the case file's own directory or above it, or the document itself."""


class CostModel(Model):
    """Monthly amounts of all pods, as decimal strings."""

    before: Annotated[MoneyAmount | None, Field(description="As written.")] = None
    after: Annotated[MoneyAmount | None, Field(description="As policies make it, or would make it.")] = None


class ExpectModel(Model):
    """What is expected; only what is given is compared."""

    verdict: Annotated[
        ExpectedVerdict | None, Field(description="The most serious thing that is said about the object.")
    ] = None
    guardrails: Annotated[
        dict[str, ExpectedOutcome],
        Field(
            description="Outcome by guardrail, or by policy/guardrail; `budget` is one. `absent`: it has no say about "
            "the object."
        ),
    ] = Field(default_factory=dict)
    says: Annotated[
        Many[str], Field(description="Texts, each of which stands in a denial, a warning or a finding.")
    ] = ()
    says_not: Annotated[Many[str], Field(description="Texts, none of which stands there.")] = ()
    pod: Annotated[
        dict[str, Any] | None,
        Field(
            description="Part of the pod (of a workload, of its template's pod) as it will be, or would be where a "
            "mode holds changes back. Items of lists are found by their name or key; null means that a field is absent."
        ),
    ] = None
    cost: Annotated[CostModel | None, Field(description="Monthly cost of all its pods.")] = None

    @model_validator(mode="after")
    def _expects_something(self) -> "ExpectModel":
        if not self.model_fields_set:
            raise FieldError("expects nothing", "Give a verdict, guardrails, says, pod or cost.")
        return self


class OneCaseModel(Model):
    """One object and what is expected of it."""

    name: Annotated[OneLine, Field(description="A sentence that says what the policies do.")]
    object: Annotated[KubernetesObject | None, Field(description="The object; without it, that of the file.")] = None
    change: Annotated[
        dict[str, Any] | None,
        Field(
            description="Changes of the file's object as a JSON merge patch: mappings are merged, everything else is "
            "replaced, null removes."
        ),
    ] = None
    old_object: Annotated[KubernetesObject | None, Field(description="The stored object of an UPDATE.")] = None
    operation: Annotated[
        Literal["CREATE", "UPDATE"], Field(description="What is asked of the API server. Default CREATE.")
    ] = "CREATE"
    subresource: Annotated[Literal["", "ephemeralcontainers", "resize"], Field(description="Subresource of a pod.")] = (
        ""
    )
    user: Annotated[str, Field(description="Who asks. Default nobody in particular.")] = ""
    groups: Annotated[Many[str], Field(description="Groups of who asks.")] = ()
    mode: Annotated[Literal["enforce", "audit"], Field(description="Cap of every policy's mode. Default enforce.")] = (
        "enforce"
    )
    expect: Annotated[ExpectModel, Field(description="What is expected; only what is given is compared.")]

    @model_validator(mode="after")
    def _is_one_way_to_an_object(self) -> "OneCaseModel":
        if self.object is not None and self.change is not None:
            raise FieldError("has an object and a change", "Give one of them.")
        return self


class CaseSpec(Model):
    """Policies, a cluster, and objects with what is expected of them."""

    policies: Annotated[
        Many[Source],
        Field(min_length=1, description="Policy documents, or paths of files and directories that hold them."),
    ]
    cluster: Annotated[
        Many[Source],
        Field(description="Objects that are there already, or paths of files and directories that hold them."),
    ] = ()
    namespace: Annotated[str, Field(description="Namespace of objects that name none. Default default.")] = "default"
    now: Annotated[
        Moment,
        Field(
            description="The time at which the objects are judged. Default 2026-01-01T00:00:00Z, so that no case "
            "changes its result by waiting."
        ),
    ] = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    object: Annotated[
        KubernetesObject | None, Field(description="The object of all cases that give none of their own.")
    ] = None
    cases: Annotated[Many[OneCaseModel], Field(min_length=1, description="At least one case.")]

    @model_validator(mode="after")
    def _every_case_has_an_object(self) -> "CaseSpec":
        for index, case in enumerate(self.cases):
            if self.object is None and case.object is None:
                raise FieldError("has no object", "Give one here or in spec.object.", path=("cases", index))
        return self


class CaseMetadata(Model):
    """Name of the file's cases."""

    name: Annotated[OneLine, Field(description="What the cases are about, in a few words.")]


class CaseDocument(Model):
    """Cases: policies, a cluster, and objects with what is expected of them."""

    api_version: Annotated[Literal["podgate.dev/v1alpha1"], Field(description="API group and version.")]
    kind: Annotated[Literal["Case"], Field(description="Kind of the document.")]
    metadata: Annotated[CaseMetadata, Field(description="Name.")]
    spec: Annotated[CaseSpec, Field(description="The cases.")]


def schema() -> dict[str, Any]:
    """Return the JSON Schema of case files."""
    made: dict[str, Any] = {"$schema": DIALECT, **CaseDocument.model_json_schema()}
    return {**made, "title": KIND}
