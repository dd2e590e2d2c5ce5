"""Whom a policy is for: ``spec.match``, and the label selectors that several kinds share."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from webhook.kube import selectors
from webhook.kube.objects import LabelSelector, SelectorRequirement
from webhook.policy.model.names import Glob, LabelKey, LabelValue, ServiceAccount, SubjectName
from webhook.policy.model.sections import ApiRule, FieldError, Many, Model


class RequirementModel(Model):
    """One requirement of a label selector."""

    API_RULES = (
        ApiRule(
            "(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
            "In and NotIn need values, Exists and DoesNotExist take none",
        ),
    )

    key: Annotated[LabelKey, Field(description="Key of the label that is looked at.")]
    operator: Annotated[
        Literal["In", "NotIn", "Exists", "DoesNotExist"],
        Field(description="How the label is compared, as in every Kubernetes selector."),
    ]
    values: Annotated[
        Many[LabelValue],
        Field(description="Values for In and NotIn, at least one; Exists and DoesNotExist take none."),
    ] = ()

    @model_validator(mode="after")
    def _as_kubernetes_would(self) -> Self:
        selectors.compile_selector(LabelSelector(match_expressions=[self.to_kube()]))
        return self

    def to_kube(self) -> SelectorRequirement:
        """Return the requirement as the rest of the code knows it."""
        return SelectorRequirement(key=self.key, operator=self.operator, values=list(self.values) or None)


class SelectorModel(Model):
    """A label selector: all of its labels and requirements must hold; an empty one selects everything."""

    match_labels: Annotated[
        dict[LabelKey, LabelValue], Field(description="Labels that must be there with exactly these values.")
    ] = Field(default_factory=dict)
    match_expressions: Annotated[
        Many[RequirementModel], Field(description="Requirements that must all hold beside matchLabels.")
    ] = ()

    def to_kube(self) -> LabelSelector:
        """Return the selector for ``webhook.kube.selectors``."""
        return LabelSelector(
            match_labels=dict(self.match_labels) or None,
            match_expressions=[item.to_kube() for item in self.match_expressions] or None,
        )

    def compile(self) -> selectors.LabelPredicate:
        """Return the predicate over labels."""
        return selectors.compile_selector(self.to_kube())

    def path_of(self, key: str) -> tuple[str | int, ...] | None:
        """Return the field where the selector looks at this label key, or None."""
        if key in self.match_labels:
            return ("matchLabels", key)
        for index, requirement in enumerate(self.match_expressions):
            if requirement.key == key:
                return ("matchExpressions", index, "key")
        return None


_CONTROLLER_SUFFIX = "-controller"
_KUBE_SYSTEM_ACCOUNT = "system:serviceaccount:kube-system:"
_CONTROLLER_MANAGER = "system:kube-controller-manager"
_WIDE_GROUPS = frozenset({"system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"})
_WHY = "this is who creates the pods of every Deployment, Job and StatefulSet, so that nothing would be judged"
_INSTEAD = "Remove it; use namespaces, excludeNamespaces or podSelector to leave workloads out."


def _is_no_controller_user(user: str) -> str:
    account = user.removeprefix(_KUBE_SYSTEM_ACCOUNT)
    if user == _CONTROLLER_MANAGER or (account != user and account.endswith(_CONTROLLER_SUFFIX)):
        raise FieldError(f"must not exclude {user}: {_WHY}", _INSTEAD)
    return user


def _is_no_wide_group(group: str) -> str:
    if group in _WIDE_GROUPS:
        raise FieldError(f"must not exclude {group}: {_WHY}", _INSTEAD)
    return group


def _is_no_controller_account(account: str) -> str:
    if account.startswith("kube-system/") and account.endswith(_CONTROLLER_SUFFIX):
        raise FieldError(f"must not exclude {account}: {_WHY}", _INSTEAD)
    return account


class SubjectsModel(Model):
    """Requesters that a policy leaves alone, each by its exact name."""

    API_RULES = (
        ApiRule(
            f"!has(self.users) || self.users.all(user, user != '{_CONTROLLER_MANAGER}' && "
            f"!(user.startsWith('{_KUBE_SYSTEM_ACCOUNT}') && user.endsWith('{_CONTROLLER_SUFFIX}')))",
            f"users must not name the controllers of kube-system: {_WHY}",
        ),
        ApiRule(
            f"!has(self.groups) || self.groups.all(group, !(group in {sorted(_WIDE_GROUPS)}))",
            f"groups must not name a group that holds the controllers: {_WHY}",
        ),
        ApiRule(
            "!has(self.serviceAccounts) || self.serviceAccounts.all(account, "
            f"!(account.startsWith('kube-system/') && account.endsWith('{_CONTROLLER_SUFFIX}')))",
            f"serviceAccounts must not name the controllers of kube-system: {_WHY}",
        ),
    )

    users: Annotated[
        Many[Annotated[SubjectName, AfterValidator(_is_no_controller_user)]],
        Field(
            description="Exact user names, as in `request.userInfo.username`; no wildcards, and not the controllers "
            "of kube-system."
        ),
    ] = ()
    groups: Annotated[
        Many[Annotated[SubjectName, AfterValidator(_is_no_wide_group)]],
        Field(description="Exact group names; a group that holds every service account is refused."),
    ] = ()
    service_accounts: Annotated[
        Many[Annotated[ServiceAccount, AfterValidator(_is_no_controller_account)]],
        Field(description="Service accounts as namespace/name; the controllers of kube-system are refused."),
    ] = ()


class MatchModel(Model):
    """Which pods a policy is for; all that is given must hold, and an empty match takes every namespace."""

    namespaces: Annotated[
        Many[Glob], Field(description="Globs over the name of the namespace, one of which must match; empty means all.")
    ] = ()
    exclude_namespaces: Annotated[
        Many[Glob], Field(description="Globs over the name of the namespace, none of which may match.")
    ] = ()
    namespace_selector: Annotated[
        SelectorModel | None, Field(description="Selector over the labels of the namespace.")
    ] = None
    pod_selector: Annotated[
        SelectorModel | None,
        Field(
            description="Selector over the labels of the pod as it was received; not on a key that costLabels of the "
            "same policy writes."
        ),
    ] = None
    exclude_subjects: Annotated[
        SubjectsModel, Field(description="Requesters whose objects this policy leaves alone.")
    ] = SubjectsModel()
