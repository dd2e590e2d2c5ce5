"""What stands around every spec: apiVersion, kind, metadata; and the document as the rest of the code gets it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar

from pydantic import Field, create_model

from webhook.policy.model.discovery import PolicyKind
from webhook.policy.model.names import DnsLabel, DnsSubdomain, LabelKey, LabelValue
from webhook.policy.model.sections import Model

API_VERSION = "podgate.dev/v1alpha1"

_Ignored = Annotated[Any, Field(description="Written by the API server or kubectl; accepted and ignored.")]


class Metadata(Model):
    """Name and labels of a policy object; what the API server adds is tolerated, so that read-back objects load."""

    name: Annotated[DnsSubdomain, Field(description="Name of the object, unique among its kind.")]
    labels: Annotated[dict[LabelKey, LabelValue], Field(description="Labels, for the platform team's own use.")] = (
        Field(default_factory=dict)
    )
    annotations: Annotated[dict[LabelKey, str], Field(description="Annotations, for anybody's own use.")] = Field(
        default_factory=dict
    )
    uid: _Ignored = None
    resource_version: _Ignored = None
    generation: _Ignored = None
    creation_timestamp: _Ignored = None
    deletion_timestamp: _Ignored = None
    deletion_grace_period_seconds: _Ignored = None
    managed_fields: _Ignored = None
    owner_references: _Ignored = None
    finalizers: _Ignored = None
    self_link: _Ignored = None


class NamespacedMetadata(Metadata):
    """Name, namespace and labels of a policy object that lives in a namespace."""

    namespace: Annotated[DnsLabel, Field(description="Namespace of the object, and of all that it can affect.")]


@cache
def document_model(kind: PolicyKind) -> type[Model]:
    """Return the model of a whole document of this kind."""
    summary = " ".join((kind.spec.__doc__ or "").split("\n\n")[0].split())
    fields: dict[str, Any] = {
        "api_version": (
            Annotated[Literal["podgate.dev/v1alpha1"], Field(description="API group and version of policy YAML.")],
            ...,
        ),
        "kind": (
            Annotated[Literal[kind.name], Field(description="Kind of the document.")],
            ...,
        ),
        "metadata": (
            Annotated[NamespacedMetadata if kind.namespaced else Metadata, Field(description="Name and labels.")],
            ...,
        ),
        "spec": (Annotated[kind.spec, Field(description=summary)], ...),
        "status": (
            Annotated[Any, Field(description="Written by Podgate into custom resources; accepted and ignored.")],
            None,
        ),
    }
    return create_model(kind.name, __base__=Model, __doc__=summary, __module__=__name__, **fields)


class Origin(NamedTuple):
    """Where a document came from."""

    file: str
    line: int
    """From 1; 0 where there is none, as for a custom resource."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


S_co = TypeVar("S_co", bound=Model, covariant=True)


@dataclass(frozen=True, slots=True)
class PolicyDocument(Generic[S_co]):
    """One valid policy document."""

    kind: str
    name: str
    namespace: str
    """Empty for kinds without a namespace."""
    spec: S_co
    origin: Origin
    labels: Mapping[str, str]
