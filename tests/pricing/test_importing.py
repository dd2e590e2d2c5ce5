"""Price lists out of tables: exact, complete, and every row that is wrong is told."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhook.pricing import importing
from webhook.pricing.importing import Instance, TableError

_BASE = "resource,price,capacity,list,per,node_label\ncpu,1\nmemory,0.5\ngpu,2\n"


def _lists(text: str) -> dict[str, dict[str, Any]]:
    rows = importing.read_table(text, "p.csv", ("resource", "price"))
    return {each["metadata"]["name"]: each["spec"] for each in importing.price_lists(rows, "EUR", 730)}


def _problems(text: str) -> list[str]:
    with pytest.raises(TableError) as caught:
        _lists(text)
    return str(caught.value).splitlines()


def test_a_table_becomes_the_default_list() -> None:
    assert _lists(_BASE) == {
        "default": {
            "currency": "EUR",
            "hoursPerMonth": 730,
            "onDemand": {"cpuCoreHour": "1", "memoryGiBHour": "0.5", "gpuHour": "2"},
        }
    }


def test_prices_of_a_month_become_prices_of_an_hour_rounded_up() -> None:
    spec = _lists("resource,price,per\ncpu,73,month\nmemory,1,month\ngpu,0,hour\n")["default"]
    assert spec["onDemand"] == {"cpuCoreHour": "0.1", "memoryGiBHour": "0.001369863014", "gpuHour": "0"}


def test_storage_is_priced_by_the_month() -> None:
    spec = _lists(_BASE + "storage,0.04\nstorage/gp3,0.08,,,month\nstorage/io2,0.001,,,hour\n")["default"]
    assert spec["storage"] == {"volumeGiBMonth": "0.04", "classes": {"gp3": "0.08", "io2": "0.73"}}


def test_devices_are_priced_by_their_class() -> None:
    spec = _lists(_BASE + "claim/gpu.nvidia.com,73,,,month\nnvidia.com/gpu,2\n")["default"]
    assert spec["onDemand"]["claims"] == {"gpu.nvidia.com": "0.1"}
    assert spec["onDemand"]["resources"] == {"nvidia.com/gpu": "2"}


def test_a_list_of_a_pool_collects_its_labels() -> None:
    pool = "cpu,1,,gpu,,a=b\nmemory,1,on-demand,gpu,,a=b\ngpu,1,,gpu,,c=d\nnvidia.com/mig-1g.5gb,0.1,,gpu\n"
    pool += "cpu,0.1,spot,gpu\nmemory,0.1,Spot,gpu\ngpu,0.1,spot,gpu\n"
    lists = _lists(_BASE + pool)
    assert list(lists) == ["default", "gpu"]
    spec = lists["gpu"]
    assert spec["nodes"] == {"selectors": [{"matchLabels": {"a": "b"}}, {"matchLabels": {"c": "d"}}]}
    assert spec["onDemand"]["resources"] == {"nvidia.com/mig-1g.5gb": "0.1"}
    assert spec["spot"] == {"cpuCoreHour": "0.1", "memoryGiBHour": "0.1", "gpuHour": "0.1"}


def test_comments_empty_lines_quotes_and_a_byte_order_mark_do_no_harm() -> None:
    assert _lists('\ufeff# ours\n\nResource , "Price"\n"cpu", 1\n,\nmemory,2\ngpu,3\n')["default"]["onDemand"] == {
        "cpuCoreHour": "1",
        "memoryGiBHour": "2",
        "gpuHour": "3",
    }


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "p.csv: is empty; begin with a line of columns: resource, price"),
        ("resource\n", "p.csv:1: has no column price; the first line must name the columns"),
        ("resource,price,price\n", "p.csv:1: has the column price twice; remove one"),
        ("resource,price\n", "the table has no prices; give one row for each"),
        ("resource,price\ncpu,1,2\n", "p.csv:2: has 3 cells for 2 columns; remove what is too much"),
        ('resource,price\n"cpu,1\n', "p.csv:2: is no comma-separated table"),
        (_BASE + "cpu,1\n", "p.csv:5: prices cpu of list default again, first at p.csv:2; keep one"),
        (_BASE + "tpu,1e3\n", "p.csv:5: price '1e3' is no price; write digits with at most 12 decimals"),
        (_BASE + "tpu,-1\n", "p.csv:5: price '-1' is no price"),
        (_BASE + "tpu,NaN\n", "p.csv:5: price 'NaN' is no price"),
        (_BASE + "tpu,\n", "p.csv:5: price '' is no price"),
        (_BASE + ",1\n", "p.csv:5: has no resource"),
        (_BASE + "tpu,1,reserved\n", "p.csv:5: capacity 'reserved' is unknown; write on-demand or spot"),
        (_BASE + "tpu,1,,GPU\n", "p.csv:5: list 'GPU' is no name of an object"),
        (_BASE + "tpu,1,,,week\n", "p.csv:5: per 'week' is unknown; write hour or month"),
        (_BASE + "tpu,1,,gpu,,label\n", "p.csv:5: node_label 'label' is no label; write key=value"),
        (_BASE + "tpu,1,,,,a=b\n", "p.csv:5: the list default is for all other nodes"),
        (_BASE + "claim/,1\n", "p.csv:5: names no device class; write for example claim/gpu.nvidia.com"),
        (_BASE + "storage,1,spot\n", "p.csv:5: storage has one price on all nodes"),
        (_BASE + "storage/gp3,1\n", "list default prices storage classes, but not storage itself"),
        (_BASE + "cpu,1,spot\nmemory,1,spot\n", "list default has no spot price of gpu; add a row for it"),
        (_BASE + "cpu,1,,gpu\nmemory,1,,gpu\n", "list gpu has no on-demand price of gpu; add a row for it"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(text: str, problem: str) -> None:
    (told,) = _problems(text)
    assert told.startswith(problem)


def test_all_rows_that_are_wrong_are_told_at_once() -> None:
    assert [line.partition(":")[2][:1] for line in _problems(_BASE + "x,free\ny,1,always\n")] == ["5", "6"]


def test_a_table_without_end_is_refused() -> None:
    assert _problems("resource,price\n" + "x,1\n" * 20_001) == ["p.csv: has more than 20000 rows; split it"]


# --- instances ------------------------------------------------------------------------------------------------------

_GIB = 1 << 30
_PUBLISHED = [
    ("t3.large", "0.0832", 2, 8, 0, ("0.027081", "0.003630", None)),
    ("m5.large", "0.096", 2, 8, 0, ("0.031247", "0.004188", None)),
    ("c6i.xlarge", "0.170", 4, 8, 0, ("0.033515", "0.004492", None)),
    ("r6i.xlarge", "0.252", 4, 32, 0, ("0.030401", "0.004075", None)),
    ("g4dn.xlarge", "0.526", 4, 16, 1, ("0.014531", "0.001948", "0.436711")),
]


@pytest.mark.parametrize(("name", "price", "cores", "gib", "gpus", "expected"), _PUBLISHED)
def test_the_price_of_an_instance_is_split_in_the_ratio_of_default_prices(
    name: str, price: str, cores: int, gib: int, gpus: int, expected: tuple[str, str, str | None]
) -> None:
    parts = importing.split(Fraction(price), Fraction(cores), Fraction(gib), gpus)
    rounded = [round(Decimal(part.numerator) / Decimal(part.denominator), 6) for part in parts]
    assert [str(each) for each, text in zip(rounded, expected, strict=True) if text is not None] == [
        text for text in expected if text is not None
    ], name


@settings(max_examples=100, deadline=None)
@given(
    st.fractions(0, 100, max_denominator=10**6),
    st.integers(1, 512),
    st.fractions(1, 4096, max_denominator=1024),
    st.integers(0, 16),
    st.none() | st.fractions(0, 5, max_denominator=1000),
)
def test_the_parts_of_an_instance_cost_exactly_what_it_costs(
    price: Fraction, cores: int, gib: Fraction, gpus: int, gpu_price: Fraction | None
) -> None:
    if gpu_price is not None and gpus * gpu_price > price:
        with pytest.raises(ValueError, match="costs less than its GPUs alone"):
            importing.split(price, Fraction(cores), gib, gpus, gpu_price)
        return
    parts = importing.split(price, Fraction(cores), gib, gpus, gpu_price)
    assert parts.cpu * cores + parts.memory * gib + parts.gpu * gpus == price
    assert min(parts.cpu, parts.memory) >= 0


_NODES = [
    Instance("m5.large", 3, 2000, 8 * _GIB, 0),
    Instance("g4dn.xlarge", 1, 4000, 16 * _GIB, 1),
]


def _of_instances(text: str) -> dict[str, dict[str, Any]]:
    rows = importing.read_table(text, "i.csv", ("instance_type", "price"))
    documents = importing.lists_of_instances(importing.priced(_NODES, rows), "USD")
    return {each["metadata"]["name"]: each["spec"] for each in documents}


def test_every_instance_type_has_a_list_and_the_default_one_prices_the_whole_cluster() -> None:
    lists = _of_instances("instance_type,price\nm5.large,0.096\ng4dn.xlarge,0.526\nunused,9\n")
    assert list(lists) == ["default", "g4dn.xlarge", "m5.large"]
    (selector,) = lists["m5.large"]["nodes"]["selectors"]
    assert selector == {"matchLabels": {"node.kubernetes.io/instance-type": "m5.large"}}
    assert "spot" not in lists["default"]
    rates = {field: Fraction(text) for field, text in lists["default"]["onDemand"].items()}
    whole = rates["cpuCoreHour"] * 10 + rates["memoryGiBHour"] * 40 + rates["gpuHour"]
    assert 0 <= whole - (3 * Fraction("0.096") + Fraction("0.526")) < Fraction(1, 10**9)


def test_a_cluster_without_gpus_still_has_a_price_of_them() -> None:
    rows = importing.read_table("instance_type,price\nm5.large,0.096\n", "i.csv", ())
    documents = importing.lists_of_instances(importing.priced(_NODES[:1], rows), "USD")
    assert all(Fraction(each["spec"]["onDemand"]["gpuHour"]) > Fraction("0.9") for each in documents)


def test_spot_prices_are_split_as_well() -> None:
    lists = _of_instances("instance_type,price,spot_price,gpu_price\nm5.large,0.096,0.048\ng4dn.xlarge,0.526,,0.4\n")
    large = lists["m5.large"]
    assert Fraction(large["spot"]["cpuCoreHour"]) * 2 - Fraction(large["onDemand"]["cpuCoreHour"]) < Fraction(1, 10**11)
    assert lists["g4dn.xlarge"]["onDemand"]["gpuHour"] == "0.4"
    assert "spot" not in lists["g4dn.xlarge"]
    assert "spot" in lists["default"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("instance_type,price\nm5.large,1\n", "the table has no price of g4dn.xlarge, which 1 node is; add a row"),
        ("instance_type,price\ng4dn.xlarge,1\n", "the table has no price of m5.large, which 3 nodes are; add a row"),
        ("instance_type,price\nm5.large,\ng4dn.xlarge,1\n", "i.csv:2: price '' is no price"),
        (
            "instance_type,price\nm5.large,1\nm5.large,2\ng4dn.xlarge,1\n",
            "i.csv:3: prices m5.large again, first at i.csv:2; keep one",
        ),
        (
            "instance_type,price,gpu_price\nm5.large,1\ng4dn.xlarge,1,2\n",
            "i.csv:3: g4dn.xlarge costs less than its GPUs alone",
        ),
    ],
)
def test_what_is_wrong_with_a_table_of_instances_is_told_in_one_line(text: str, problem: str) -> None:
    with pytest.raises(TableError) as caught:
        _of_instances(text)
    (told,) = caught.value.problems
    assert told.startswith(problem)


@settings(max_examples=100, deadline=None)
@given(st.fractions(0, 10**6))
def test_a_price_is_never_written_too_low(price: Fraction) -> None:
    written = Fraction(importing.price_text(price))
    assert 0 <= written - price < Fraction(1, 10**12)
