"""The kind `PriceList`: what a core, a GiB of memory and a GPU cost per hour."""

from typing import Annotated, Final

from pydantic import Field

from webhook.policy._base import Model, Money, QuantityText

KIND: Final = "PriceList"

Currency = Annotated[
    str,
    Field(pattern=r"^[A-Z]{3}$", description="Currency of all amounts, as an ISO 4217 code such as USD."),
]


class RatesModel(Model):
    """Hourly prices of one capacity type, as decimal strings in the list's currency."""

    cpu_core_hour: Annotated[Money, Field(description='Price of one CPU core for one hour, such as "0.031611".')]
    memory_gib_hour: Annotated[
        Money,
        Field(alias="memoryGiBHour", description='Price of one GiB (2^30 bytes) for one hour, such as "0.004237".'),
    ]
    gpu_hour: Annotated[Money, Field(description='Price of one GPU for one hour, such as "0.95".')]


class AssumedRequestModel(Model):
    """What a container with neither request nor limit is priced with, so that nothing is ever free."""

    cpu: Annotated[QuantityText, Field(description="CPU assumed where a container states none. Default 100m.")] = "100m"
    memory: Annotated[
        QuantityText, Field(description="Memory assumed where a container states none. Default 128Mi.")
    ] = "128Mi"


class PriceListSpec(Model):
    """Prices. The list named `default` is the one that is used; others are for named node pools."""

    currency: Currency
    hours_per_month: Annotated[
        int,
        Field(ge=1, le=744, description="Hours that a monthly figure stands for, 1 to 744. Default 730."),
    ] = 730
    on_demand: Annotated[RatesModel, Field(description="Prices of on-demand capacity.")]
    spot: Annotated[
        RatesModel | None,
        Field(description="Prices of spot capacity. Without it, spot capacity is priced as on-demand."),
    ] = None
    assumed_request: Annotated[
        AssumedRequestModel,
        Field(description="What a container with neither request nor limit is priced with."),
    ] = AssumedRequestModel()


SPEC = PriceListSpec
