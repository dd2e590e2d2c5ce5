"""What every policy model shares: strictness, camelCase names, and the scalar types of the contract."""

import datetime as dt
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, ClassVar, Literal, NamedTuple, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from webhook.kube import quantity

Mode = Literal["enforce", "warn", "audit", "off"]
OnFault = Literal["allow", "deny"]
Unpriced = Literal["allow", "deny"]
"""What becomes of a pod that asks for something without a price."""

MODE_RANK: dict[str, int] = {"off": 0, "audit": 1, "warn": 2, "enforce": 3}
"""Strictness of a mode; a cap is the smaller of two ranks."""


_RANKS = str(MODE_RANK)


def stricter_cap(mode: Mode, cap: Mode) -> Mode:
    """Return `mode`, but never stricter than `cap`."""
    return mode if MODE_RANK[mode] <= MODE_RANK[cap] else cap


T = TypeVar("T")
Many = Annotated[tuple[T, ...], Field(strict=False)]
"""A list of the YAML, kept as a tuple. Lax for the container only, so that a Python list is taken as well."""


class FieldError(ValueError):
    """What is wrong with one field, with the cure kept apart, and where it is, if not where it was noticed.

    A validator of any policy model may raise it, and so may a guardrail that compiles a section.

    Args:
        message: what is wrong, without a full stop: ``must be at least 1``.
        cure: a sentence that says what to write instead.
        path: fields to step down from the place where the error was raised.
        up: how many fields to step up first.
    """

    def __init__(self, message: str, cure: str = "", *, path: tuple[str | int, ...] = (), up: int = 0) -> None:
        super().__init__(f"{message}. {cure}" if cure else message)
        self.message = message
        self.cure = cure
        self.path = path
        self.up = up


class FieldErrors(ValueError):  # noqa: N818  it carries several
    """Several fields that are wrong, told at once. To be raised by way of `raise_all`."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__("; ".join(str(error) for error in errors))
        self.errors = tuple(errors)


def raise_all(errors: Sequence[FieldError]) -> None:
    """Raise what was found wrong, if anything was."""
    if errors:
        raise FieldErrors(errors)


class ApiRule(NamedTuple):
    """A rule across fields in CEL, which the API server knows of by the CustomResourceDefinition.

    It stands beside the validator that says the same. Where CEL cannot say all of it, it says the part that it can; it
    must never refuse what the loader takes.
    """

    rule: str
    """True where all is well; ``self`` is the object of the model."""
    message: str
    """What is wrong, and the cure."""


RULES_KEY = "x-kubernetes-validations"
"""Where schemas hold rules, as CustomResourceDefinitions do."""


class Model(BaseModel):
    """Base of all policy models: unknown fields are errors, values are not coerced, instances are frozen."""

    API_RULES: ClassVar[tuple[ApiRule, ...]] = ()
    """Rules of this class; those of its bases hold as well."""
    API_DOCUMENT_RULES: ClassVar[tuple[ApiRule, ...]] = ()
    """Of the spec of a kind: rules of the whole document, for those that depend on its name."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        alias_generator=to_camel,
        validate_by_alias=True,
        validate_by_name=False,
        validate_default=True,
        allow_inf_nan=False,
    )

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Return the schema with the rules of the class in it."""
        made = handler.resolve_ref_schema(handler(core_schema))
        rules = [rule for base in reversed(cls.__mro__) for rule in vars(base).get("API_RULES", ())]
        if rules:
            made[RULES_KEY] = [rule._asdict() for rule in rules]
        return made


class Section(Model):
    """What every guardrail section takes beside its own fields."""

    API_RULES: ClassVar[tuple[ApiRule, ...]] = (
        ApiRule(
            f"!has(self.mode) || !has(self.onViolation) || {_RANKS}[self.onViolation] <= {_RANKS}[self.mode]",
            "onViolation must not be stricter than the mode of the section; raise mode, or remove onViolation",
        ),
    )

    mode: Annotated[
        Mode | None,
        Field(description="Mode of this guardrail; without it, the policy's `spec.mode`."),
    ] = None
    on_violation: Annotated[
        Literal["enforce", "warn", "audit"] | None,
        Field(
            description="What a violation means, where it should differ from the mutation: inject now, refuse later. "
            "Default is the mode; it is never stricter than the mode."
        ),
    ] = None
    on_fault: Annotated[
        OnFault | None,
        Field(
            description="What a fault inside the guardrail means. Default `deny` for podSecurity and `allow` for all "
            "others; it only refuses where the mode is `enforce`."
        ),
    ] = None

    @field_validator("on_violation")
    @classmethod
    def _not_stricter_than_mode(cls, value: Mode | None, info: ValidationInfo) -> Mode | None:
        mode = info.data.get("mode")
        if value is not None and mode is not None and MODE_RANK[value] > MODE_RANK[mode]:
            raise FieldError(
                f"`{value}` is stricter than this section's mode `{mode}`",
                f"Write `mode: {value}`, or remove onViolation.",
            )
        return value

    @property
    def written_labels(self) -> frozenset[str]:
        """Keys of the pod labels that this guardrail writes; a policy must not select pods by them."""
        return frozenset()


def _quantity_text(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise FieldError("must be a quantity", "Write for example 500m, 2 or 128Mi.")
    try:
        parsed = quantity.parse(str(value))
    except quantity.QuantityError as error:
        raise ValueError(str(error)) from None
    if parsed.nano < 0:
        raise FieldError("must not be negative", "Write for example 500m, 2 or 128Mi.")
    return str(value)


QuantityText = Annotated[
    str,
    BeforeValidator(_quantity_text),
    WithJsonSchema(
        {
            "type": ["string", "number"],
            "pattern": r"^\+?([0-9]+\.?[0-9]*|\.[0-9]+)([a-zA-Z]{0,2}|[eE][-+]?[0-9]+)$",
            "minimum": 0,
        }
    ),
]
"""A Kubernetes quantity, not negative; kept as written, checked when loaded."""


_DECIMAL = re.compile(r"[0-9]{1,15}(\.[0-9]{1,12})?", re.ASCII)


def _money(value: object) -> object:
    if isinstance(value, Decimal):
        value = format(value, "f")
    example = 'Write for example "300" or "0.031611".'
    if not isinstance(value, str):
        raise FieldError("must be a decimal string in quotes", example)
    if value.startswith("-"):
        raise FieldError("must not be negative", example)
    if not _DECIMAL.fullmatch(value):
        raise FieldError("must be a plain decimal number below 10^15 with at most 12 decimal places", example)
    return Decimal(value)


MoneyAmount = Annotated[
    Decimal,
    BeforeValidator(_money),
    WithJsonSchema({"type": "string", "pattern": r"^[0-9]{1,15}(\.[0-9]{1,12})?$", "maxLength": 28}),
]
"""An amount of money or a price, written as a decimal string so that no float ever touches it."""


_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


def _date(value: object) -> object:
    if isinstance(value, dt.date):
        return value
    if isinstance(value, str) and _DATE.fullmatch(value):
        try:
            return dt.date.fromisoformat(value)
        except ValueError:
            raise FieldError("is no day of the calendar", "Write it as YYYY-MM-DD.") from None
    raise FieldError("must be a date", 'Write it as YYYY-MM-DD, such as "2027-03-31".')


Day = Annotated[dt.date, BeforeValidator(_date), WithJsonSchema({"type": "string", "format": "date"})]
"""A day of the calendar, kept as a date."""
