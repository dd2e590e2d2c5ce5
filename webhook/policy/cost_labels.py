"""Section ``costLabels``: labels by which money is booked, and where their values come from."""

from typing import Annotated, Literal, Protocol

import re2
from pydantic import Field, ValidationInfo, field_validator

from webhook.policy.model.names import LabelKey, LabelValue
from webhook.policy.model.sections import ApiRule, FieldError, Many, Model, Section, raise_all

_PATTERN_LENGTH = 512


class Pattern(Protocol):
    """A compiled RE2 pattern."""

    def fullmatch(self, text: str) -> object | None:
        """Return a match of the whole text, or None."""


def compile_pattern(pattern: str) -> Pattern:
    """Compile a pattern of the policy YAML with RE2, whose matching time is linear in the text.

    Raises:
        FieldError: it is no RE2 pattern, too long, or does not match from ``^`` to ``$``.
    """
    if len(pattern) > _PATTERN_LENGTH:
        raise FieldError(f"must be at most {_PATTERN_LENGTH} characters long", "Use allowed for a list of values.")
    options = re2.Options()
    options.log_errors = False
    try:
        compiled: Pattern = re2.compile(pattern, options)
    except re2.error as error:
        text = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else str(error)
        raise FieldError(f"is no RE2 pattern: {text}", 'Write for example "^[a-z][a-z0-9-]*$".') from None
    if not _is_anchored(pattern):
        raise FieldError(
            "must be anchored, so that it judges the whole value", 'Write it as "^...$", alternatives as "^(a|b)$".'
        )
    return compiled


def _is_anchored(pattern: str) -> bool:
    r"""Whether a valid pattern begins with ``^``, ends with ``$``, and has no alternative outside of parentheses."""
    if not pattern.startswith("^") or not pattern.endswith("$"):
        return False
    depth, in_class, escaped, last = 0, False, False, ""
    for index, character in enumerate(pattern):
        last = "escaped" if escaped else "class" if in_class else character
        if escaped:
            escaped = False
            if character == "Q":
                return False
        elif character == "\\":
            escaped = True
        elif in_class:
            # A bracket right after the opening one is a member of the class, in RE2 as in POSIX.
            in_class = character != "]" or pattern[index - 1] == "[" or pattern[index - 2 : index] == "[^"
        elif character == "[":
            in_class = True
        elif character == "|" and depth == 0:
            return False
        else:
            depth += (character == "(") - (character == ")")
    return last == "$"


class RequiredLabel(Model):
    """One label that every pod must carry."""

    API_RULES = (
        ApiRule(
            "!has(self.pattern) || (self.pattern.startsWith('^') && self.pattern.endsWith('$'))",
            "pattern must be anchored, so that it judges the whole value; write it as ^...$",
        ),
        ApiRule(
            # A pattern that does not compile is an error of the evaluation, which refuses the object.
            "!has(self.pattern) || ''.matches(self.pattern) in [true, false]",
            "pattern must be an RE2 pattern",
        ),
        ApiRule(
            "!has(self.default) || !has(self.allowed) || self.default in self.allowed",
            "default must be one of the allowed values; add it to allowed, or change it",
        ),
        ApiRule(
            "!has(self.default) || !has(self.pattern) || self.default.matches(self.pattern)",
            "default must match the pattern; change one of them",
        ),
    )

    key: Annotated[LabelKey, Field(description="Key of the label, such as cost-center.")]
    source: Annotated[
        Literal["namespace", "pod"],
        Field(
            description="namespace: the namespace's label, else its annotation, of that key is the truth, is "
            "written to the pod, and a pod that claims another value is refused; pod: the pod's own value counts, and "
            "the namespace's fills in. Default namespace, because whoever owns the namespace pays."
        ),
    ] = "namespace"
    pattern: Annotated[
        str | None,
        Field(
            description="RE2 pattern, anchored with ^ and $, that a value must match; absent means any.",
            json_schema_extra={"maxLength": _PATTERN_LENGTH},
        ),
    ] = None
    allowed: Annotated[
        Many[LabelValue] | None,
        Field(min_length=1, description="The only values that are accepted; absent means any."),
    ] = None
    default: Annotated[
        LabelValue | None,
        Field(description="Value of a pod that has none from anywhere; without it such a pod is refused."),
    ] = None

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            compile_pattern(pattern)
        return pattern

    @field_validator("allowed")
    @classmethod
    def _allowed_match_pattern(cls, allowed: tuple[str, ...] | None, info: ValidationInfo) -> tuple[str, ...] | None:
        pattern = info.data.get("pattern")
        if pattern is not None:
            compiled = compile_pattern(pattern)
            raise_all(
                [
                    FieldError(
                        f"`{value}` does not match pattern {pattern}", "Change the value or the pattern.", path=(index,)
                    )
                    for index, value in enumerate(allowed or ())
                    if not compiled.fullmatch(value)
                ]
            )
        return allowed

    @field_validator("default")
    @classmethod
    def _default_is_acceptable(cls, default: str | None, info: ValidationInfo) -> str | None:
        if default is None:
            return default
        pattern = info.data.get("pattern")
        if pattern is not None and not compile_pattern(pattern).fullmatch(default):
            raise FieldError(f"`{default}` does not match pattern {pattern}", "Change the default or the pattern.")
        allowed = info.data.get("allowed")
        if allowed is not None and default not in allowed:
            raise FieldError(f"`{default}` is not among the allowed values", "Add it to allowed, or change it.")
        return default


class CostLabelsSection(Section):
    """Labels that every pod must carry, so that its cost can be booked to somebody."""

    API_RULES = (
        ApiRule(
            "(has(self.required) && size(self.required) > 0) || (has(self.mode) && self.mode == 'off')",
            "required must name at least one label, such as {key: cost-center}",
        ),
        ApiRule(
            "!has(self.required) || self.required.all(one, self.required.exists_one(other, other.key == one.key))",
            "required must list each key once",
        ),
    )

    required: Annotated[
        Many[RequiredLabel],
        Field(description="The labels, each key once. Required unless this section's mode is off."),
    ] = ()

    @field_validator("required")
    @classmethod
    def _keys_are_unique(cls, required: tuple[RequiredLabel, ...], info: ValidationInfo) -> tuple[RequiredLabel, ...]:
        if not required and info.data.get("mode") != "off":
            raise FieldError("must name at least one label", "Add for example `- {key: cost-center}`.")
        keys = [label.key for label in required]
        raise_all(
            [
                FieldError(f"`{key}` is listed twice", "Keep one of them.", path=(index, "key"))
                for index, key in enumerate(keys)
                if key in keys[:index]
            ]
        )
        return required

    @property
    def written_labels(self) -> frozenset[str]:
        """Every required key: each is written to pods that lack it."""
        return frozenset(label.key for label in self.required)


SECTION = CostLabelsSection
