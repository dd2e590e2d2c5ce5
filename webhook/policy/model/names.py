"""Syntax of the names that policies mention: labels, namespaces, containers, accounts, and globs over namespaces.

A name that Kubernetes itself could never hold would make a policy match nothing, silently. So each is checked when it
is loaded, by the rules of ``k8s.io/apimachinery/pkg/util/validation``.
"""

import re
from collections.abc import Callable, Sequence
from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema

from webhook.policy.model.sections import FieldError

_DNS_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_DNS_SUBDOMAIN = rf"{_DNS_LABEL}(\.{_DNS_LABEL})*"
_QUALIFIED = r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?"
_GLOB = r"[-a-z0-9*?]+"
_SERVICE_ACCOUNT = rf"{_DNS_LABEL}/{_DNS_SUBDOMAIN}"

_is_dns_label = re.compile(_DNS_LABEL).fullmatch
_is_dns_subdomain = re.compile(_DNS_SUBDOMAIN).fullmatch
_is_qualified = re.compile(_QUALIFIED).fullmatch
_is_glob = re.compile(_GLOB).fullmatch

LABEL_LENGTH = 63
"""Longest label value, label name and DNS label."""
SUBDOMAIN_LENGTH = 253
"""Longest DNS subdomain."""


def dns_label(value: str) -> str:
    """Check the name of a namespace or a container."""
    if len(value) > LABEL_LENGTH or not _is_dns_label(value):
        raise FieldError(
            "must be a DNS label: lower case letters, digits and `-`, at most 63 characters",
            "Write it as Kubernetes shows it, such as team-alpha.",
        )
    return value


def dns_subdomain(value: str) -> str:
    """Check the name of an object."""
    if len(value) > SUBDOMAIN_LENGTH or not _is_dns_subdomain(value):
        raise FieldError(
            "must be a DNS subdomain: lower case letters, digits, `-` and `.`, at most 253 characters",
            "Write for example name-1 or name-1.company.example.",
        )
    return value


def label_key(value: str) -> str:
    """Check a label key: a name, with or without a DNS subdomain and a slash before it."""
    prefix, slash, name = value.rpartition("/")
    valid_prefix = not slash or (len(prefix) <= SUBDOMAIN_LENGTH and _is_dns_subdomain(prefix))
    if not valid_prefix or len(name) > LABEL_LENGTH or not _is_qualified(name):
        raise FieldError(
            "must be a label key: a name of at most 63 letters, digits, `-`, `_` and `.`, with an optional DNS prefix",
            "Write for example cost-center or company.example/cost-center.",
        )
    return value


def label_value(value: str) -> str:
    """Check a label value; the empty one is a valid one."""
    if value and (len(value) > LABEL_LENGTH or not _is_qualified(value)):
        raise FieldError(
            "must be a label value: at most 63 letters, digits, `-`, `_` and `.`, beginning and ending with a letter "
            "or digit",
            "Write for example engineering-alpha.",
        )
    return value


def glob(value: str) -> str:
    """Check a glob over names of namespaces; `*` and `?` are its only wildcards."""
    if len(value) > LABEL_LENGTH or not _is_glob(value):
        raise FieldError(
            "must be a glob of lower case letters, digits, `-`, and the wildcards `*` and `?`",
            "Write for example team-*.",
        )
    return value


def service_account(value: str) -> str:
    """Check a service account, written as namespace/name."""
    namespace, slash, name = value.partition("/")
    if not slash or not _is_dns_label(namespace) or not _is_dns_subdomain(name):
        raise FieldError(
            "must be a service account as namespace/name, without wildcards", "Write for example ci/deployer."
        )
    return value


def exact_subject(value: str) -> str:
    """Check the name of a user or a group, which is compared as it is."""
    if not value.strip() or not value.isprintable() or "*" in value or "?" in value:
        raise FieldError(
            "must be the exact name of a user or group, without wildcards", "Write for example ci@company.example."
        )
    return value


def one_line(value: str) -> str:
    """Check a sentence that is shown in messages."""
    if not value.strip() or not value.isprintable() or len(value) > 512:
        raise FieldError("must be one line of text, at most 512 characters", "Say it in one sentence.")
    return value


DnsLabel = Annotated[
    str,
    AfterValidator(dns_label),
    WithJsonSchema({"type": "string", "pattern": f"^{_DNS_LABEL}$", "maxLength": LABEL_LENGTH}),
]
DnsSubdomain = Annotated[
    str,
    AfterValidator(dns_subdomain),
    WithJsonSchema({"type": "string", "pattern": f"^{_DNS_SUBDOMAIN}$", "maxLength": SUBDOMAIN_LENGTH}),
]
LabelKey = Annotated[
    str,
    AfterValidator(label_key),
    WithJsonSchema({"type": "string", "pattern": f"^({_DNS_SUBDOMAIN}/)?{_QUALIFIED}$", "maxLength": 317}),
]
LabelValue = Annotated[
    str,
    AfterValidator(label_value),
    WithJsonSchema({"type": "string", "pattern": f"^({_QUALIFIED})?$", "maxLength": LABEL_LENGTH}),
]
Glob = Annotated[
    str,
    AfterValidator(glob),
    WithJsonSchema({"type": "string", "pattern": f"^{_GLOB}$", "maxLength": LABEL_LENGTH}),
]
ServiceAccount = Annotated[
    str,
    AfterValidator(service_account),
    WithJsonSchema({"type": "string", "pattern": f"^{_SERVICE_ACCOUNT}$", "maxLength": 317}),
]
SubjectName = Annotated[
    str, AfterValidator(exact_subject), WithJsonSchema({"type": "string", "minLength": 1, "pattern": "^[^*?]+$"})
]
OneLine = Annotated[str, AfterValidator(one_line), WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 512})]


def compile_globs(globs: Sequence[str]) -> Callable[[str], bool]:
    """Compile globs into one predicate over names; no glob at all matches nothing."""
    if not globs:
        return lambda _name: False
    if "*" in globs:
        return lambda _name: True
    matches = re.compile("|".join(map(_translated, globs)), re.DOTALL).fullmatch
    return lambda name: matches(name) is not None


def _translated(glob: str) -> str:
    """Return the regular expression of a glob.

    What stands between two stars is looked for once, at the first place where it fits (an atomic group): a later place
    could only leave less of the name, so nothing is ever tried again.
    """
    first, *rest = [re.escape(part).replace(r"\?", ".") for part in glob.split("*")]
    if not rest:
        return first
    *middle, last = rest
    return first + "".join(f"(?>.*?{part})" for part in middle if part) + f".*{last}"
