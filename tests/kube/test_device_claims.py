"""What claims for devices ask for, in all versions of the API, and what classes and slices say."""

from typing import Any

import msgspec
import pytest

from webhook.kube import device_claims, device_classes
from webhook.kube.device_claims import Alternative, ClaimStatus, DeviceRequest, ResourceClaimSpec
from webhook.kube.device_classes import ClassSpec, DeviceClass, DevicePool

Json = dict[str, Any]


def _read(*requests: Json, results: list[Json] | None = None) -> tuple[DeviceRequest, ...]:
    spec = msgspec.convert({"devices": {"requests": list(requests)}}, ResourceClaimSpec)
    status = None
    if results is not None:
        status = msgspec.convert({"allocation": {"devices": {"results": results}}}, ClaimStatus)
    return device_claims.read(spec, status)


def _one(*alternatives: Alternative, is_admin: bool = False) -> tuple[DeviceRequest, ...]:
    return (DeviceRequest(alternatives, is_admin),)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        pytest.param({"exactly": {"deviceClassName": "gold"}}, _one(Alternative("gold", 1)), id="one by default"),
        pytest.param({"exactly": {"deviceClassName": "gold", "count": 8}}, _one(Alternative("gold", 8)), id="v1"),
        pytest.param({"deviceClassName": "gold", "count": 8}, _one(Alternative("gold", 8)), id="v1beta1"),
        pytest.param(
            {"exactly": {"deviceClassName": "gold", "allocationMode": "All"}},
            _one(Alternative("gold", 32, is_all=True)),
            id="all",
        ),
        pytest.param(
            {"exactly": {"deviceClassName": "gold", "allocationMode": "All", "count": 0}},
            _one(Alternative("gold", 32, is_all=True)),
            id="all, with the zero of Go",
        ),
        pytest.param(
            {"exactly": {"deviceClassName": "gold", "allocationMode": "future", "count": 3}},
            _one(Alternative("gold", 0)),
            id="a mode of tomorrow",
        ),
        pytest.param(
            {"exactly": {"deviceClassName": "gold", "adminAccess": True}},
            _one(Alternative("gold", 1), is_admin=True),
            id="admin",
        ),
        pytest.param(
            {"firstAvailable": [{"name": "a", "deviceClassName": "gold", "count": 2}, {"deviceClassName": "tin"}]},
            _one(Alternative("gold", 2), Alternative("tin", 1)),
            id="alternatives",
        ),
        pytest.param(
            {"exactly": {"deviceClassName": "cpu", "capacity": {"requests": {"dra.cpu/cpu": "4", "memory": "8Gi"}}}},
            _one(Alternative("cpu", 1, cpu="4", memory="8Gi")),
            id="capacity",
        ),
        pytest.param({"somethingNew": {}}, _one(), id="a form of tomorrow"),
    ],
)
def test_a_request_is_read(request_: Json, expected: tuple[DeviceRequest, ...]) -> None:
    assert _read({"name": "r", **request_}) == expected


def test_nothing_is_asked_for_by_an_empty_claim() -> None:
    assert device_claims.read(None) == ()
    assert device_claims.read(ResourceClaimSpec()) == ()
    assert _read() == ()


@pytest.mark.parametrize("count", [0, -8, 2**63, -(2**70)])
@pytest.mark.parametrize("form", ["exactly", "flat", "firstAvailable"])
def test_a_number_that_the_api_server_refuses_is_named(count: int, form: str) -> None:
    asked = {"deviceClassName": "gold", "count": count}
    forms: Json = {"exactly": {"exactly": asked}, "flat": asked, "firstAvailable": {"firstAvailable": [asked]}}
    request_ = forms[form]
    where = {"exactly": r"\.exactly", "flat": "", "firstAvailable": r"\.firstAvailable\[0\]"}[form]
    with pytest.raises(ValueError, match=rf"^devices\.requests\[1\]{where}\.count is -?\d+; write a number"):
        _read({"exactly": {"deviceClassName": "gold"}}, request_)


@pytest.mark.parametrize(
    ("request_", "results", "expected"),
    [
        pytest.param({"exactly": {"deviceClassName": "a", "count": 2}}, ["r", "r"], Alternative("a", 2), id="as asked"),
        pytest.param(
            {"exactly": {"deviceClassName": "a", "allocationMode": "All"}}, ["r"] * 5, Alternative("a", 5), id="all"
        ),
        pytest.param(
            {"firstAvailable": [{"name": "x", "deviceClassName": "a"}, {"name": "y", "deviceClassName": "b"}]},
            ["r/y", "other/x"],
            Alternative("b", 1),
            id="the alternative that was taken",
        ),
    ],
)
def test_a_claim_that_is_allocated_has_what_its_status_says(
    request_: Json, results: list[str], expected: Alternative
) -> None:
    assert _read({"name": "r", **request_}, results=[{"request": name} for name in results]) == _one(expected)


def test_an_allocation_that_says_nothing_of_a_request_changes_nothing() -> None:
    offered = [{"name": "x", "deviceClassName": "a"}, {"name": "y", "deviceClassName": "b"}]
    read = _read(
        {"name": "r", "exactly": {"deviceClassName": "a", "count": 2}}, {"firstAvailable": offered}, results=[]
    )
    assert read == (*_one(Alternative("a", 2)), *_one(Alternative("a", 1), Alternative("b", 1)))


def test_quotas_count_the_most_of_each_class_and_administrators_as_well() -> None:
    read = _read(
        {"firstAvailable": [{"deviceClassName": "a", "count": 5}, {"deviceClassName": "b"}, {"deviceClassName": "a"}]},
        {"exactly": {"deviceClassName": "a", "count": 2, "adminAccess": True}},
        {"exactly": {"deviceClassName": "b", "allocationMode": "All"}},
    )
    assert device_claims.counted(read) == {"a": 7, "b": 33}


# --- classes and pools ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "driver"),
    [
        ("device.driver == 'gpu.nvidia.com'", "gpu.nvidia.com"),
        ('device.driver=="gpu.nvidia.com" && device.attributes["x"].y == "z"', "gpu.nvidia.com"),
        ("device.attributes['x'].fast && device.driver == 'a-b.c'", "a-b.c"),
        ("device.driver == 'a' || true", ""),
        ("!(true && device.driver == 'a')", ""),
        ("true ? true : true && device.driver == 'a'", ""),
        ("[1].exists(d, d == 1 && device.driver == 'a')", ""),
        ("device.attributes['x'].y == \"a && device.driver == 'b' && c\"", ""),
        ("device.driver != 'a'", ""),
        ("device.driver == device.driver", ""),
        ("device.driver == 'a' == false", ""),
        ("", ""),
    ],
)
def test_the_driver_of_a_class_is_believed_only_where_it_is_plain(expression: str, driver: str) -> None:
    spec = msgspec.convert({"selectors": [{}, {"cel": {"expression": expression}}]}, ClassSpec)
    assert device_classes.driver_of(spec) == driver
    assert device_classes.driver_of(None) == ""


def test_of_two_classes_behind_a_resource_the_newest_counts_then_the_smaller_name() -> None:
    days = {"b": "2026-01-01", "c": "2026-01-02", "a": "2026-01-02"}
    classes = [DeviceClass(name, "example.com/gpu", created=day) for name, day in days.items()]
    assert device_classes.inventory(classes, []).classes == {"example.com/gpu": "a"}


def test_all_devices_are_as_many_as_one_node_can_have_and_never_more_than_a_claim_gets() -> None:
    classes = [
        DeviceClass("gpu", driver="g"),
        DeviceClass("nic", driver="n"),
        DeviceClass("any"),
        DeviceClass("x", driver="x"),
    ]
    pools = [
        DevicePool("g", "a", 8),
        DevicePool("g", "b", 2),
        DevicePool("g", "b", 3),
        DevicePool("n", "", 40),
        DevicePool("n", "a", 1),
    ]
    inventory = device_classes.inventory(classes, pools)
    every = {name: inventory.every(name) for name in ("gpu", "nic", "any", "x", "no-such-class")}
    assert every == {"gpu": 8, "nic": 32, "any": 32, "x": 32, "no-such-class": 32}
    assert device_classes.inventory(classes, pools[:3]).every("any") == 8
    assert device_classes.NO_INVENTORY.every("gpu") == 32


def test_the_implicit_resource_of_a_class_names_it() -> None:
    assert device_classes.class_of("deviceclass.resource.kubernetes.io/gpu.nvidia.com") == "gpu.nvidia.com"
    assert device_classes.class_of("nvidia.com/gpu") == ""
