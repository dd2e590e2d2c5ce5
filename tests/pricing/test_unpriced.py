"""What has no price is said so that it can be mended."""

import pytest

from webhook.pricing import unpriced


@pytest.mark.parametrize(
    ("text", "kind", "where"),
    [
        ("4 nvidia.com/mig-7g.80gb", "nvidia.com/mig-7g.80gb", ("nvidia.com/mig-7g.80gb", "spec.onDemand.resources")),
        ("2 devices of class gold", "devices of class gold", ("gold", "spec.onDemand.claims")),
        ("1 device of class gold", "devices of class gold", ("gold", "spec.onDemand.claims")),
        ("claim gpus, which does not exist", "", ("", "spec.onDemand.resources")),
    ],
)
def test_a_text_is_about_something_that_a_price_list_has_a_field_for(
    text: str, kind: str, where: tuple[str, str]
) -> None:
    assert unpriced.kind_of(text) == kind
    assert unpriced.where(kind) == where
