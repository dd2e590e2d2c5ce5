"""Manifests mean what they mean to the API server, and what cannot be read is one line with its place and cure."""

import io
import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhook.kube import _yaml, manifests

POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\n"


def read(text: str | bytes, origin: str = "f.yaml") -> list[manifests.Manifest]:
    return list(manifests.read_text(text, origin))


def field(text: str) -> object:
    """What the scalar `text` of a plain field becomes."""
    content: object = read(f"{POD}field: {text}\n")[0].document["field"]
    return content


# --- scalars --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("2024-01-01", "2024-01-01", id="a date stays text"),
        pytest.param("2024-01-01T10:00:00Z", "2024-01-01T10:00:00Z", id="a time stays text"),
        pytest.param("22:30", "22:30", id="no base sixty"),
        pytest.param("0644", 420, id="octal as in file modes"),
        pytest.param("0o644", 420, id="octal with an o"),
        pytest.param("0x1F", 31, id="hexadecimal"),
        pytest.param("-0b11", -3, id="binary"),
        pytest.param("089", 89, id="no octal digits, so a decimal number"),
        pytest.param("1_000", 1000, id="underscores are left out"),
        pytest.param("+5", 5, id="plus sign"),
        pytest.param("1.5", 1.5, id="float"),
        pytest.param("1e3", 1000, id="a whole float is an int"),
        pytest.param("0.1000000000000000000001", "0.1000000000000000000001", id="digits no float holds stay text"),
        pytest.param("18446744073709551615", 18446744073709551615, id="largest whole number"),
        pytest.param("18446744073709551617", "18446744073709551617", id="beyond it nothing is rounded"),
        pytest.param("100m", "100m", id="quantity"),
        pytest.param("yes", True, id="yes"),
        pytest.param("Off", False, id="Off"),
        pytest.param("y", True, id="y"),
        pytest.param("N", False, id="N"),
        pytest.param("nO", "nO", id="odd case is text"),
        pytest.param("~", None, id="null"),
        pytest.param("", None, id="nothing"),
        pytest.param('"yes"', "yes", id="quoted"),
        pytest.param("!!str 0644", "0644", id="tagged text"),
        pytest.param("!!int '7'", 7, id="tagged int"),
        pytest.param("-", [None], id="an item without a value"),
        pytest.param("1.2.3", "1.2.3", id="version"),
        pytest.param("12e", "12e", id="a number with something after it"),
        pytest.param(".", ".", id="dot"),
    ],
)
def test_a_scalar_means_what_it_means_to_kubernetes(text: str, expected: object) -> None:
    got = field(f"\n- {text[1:]}" if text == "-" else text)
    assert got == expected
    assert type(got) is type(expected)


@pytest.mark.parametrize("text", [".inf", "-.Inf", ".NaN"])
def test_numbers_that_json_cannot_express_are_errors(text: str) -> None:
    with pytest.raises(manifests.ManifestError, match=r"^f\.yaml:4: .*no meaning in a manifest"):
        field(text)


@given(st.integers(min_value=-(2**63), max_value=2**64 - 1))
@settings(max_examples=50, deadline=None)
def test_whole_numbers_keep_their_value(number: int) -> None:
    assert _yaml.resolve(str(number)) == number


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-1000, max_value=1000, places=12))
@settings(max_examples=50, deadline=None)
def test_fractions_keep_their_value_to_the_last_digit(number: object) -> None:
    assert Decimal(str(_yaml.resolve(f"{number:f}"))) == number


PRINTABLE = st.text(st.characters(exclude_categories=["C"]), max_size=12)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**63) | PRINTABLE,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(PRINTABLE, inner, max_size=4),
        max_leaves=20,
    )
)
@settings(max_examples=50, deadline=None)
def test_json_and_yaml_readers_agree(value: object) -> None:
    text = json.dumps({"apiVersion": "v1", "kind": "X", "value": value}, ensure_ascii=False)
    as_json = read(text)
    as_yaml = read("# a comment makes it YAML\n" + text)
    assert as_json[0].document == as_yaml[0].document == json.loads(text)


def test_keys_become_text() -> None:
    assert field("{1: a, on: b, 1.5: c, 'x': d}") == {"1": "a", "true": "b", "1.5": "c", "x": "d"}


# --- documents ------------------------------------------------------------------------------------------------------


def test_every_document_has_its_line() -> None:
    text = f"# comment\n---\n{POD}---\n---\n# only a comment\n---\n{POD}..."
    assert [m.origin for m in read(text)] == ["f.yaml:3", "f.yaml:10"]


def test_a_list_is_unfolded_with_the_line_of_each_item() -> None:
    text = (
        "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pod\n- apiVersion: v1\n  kind: List\n"
        "  items:\n  - {apiVersion: v1, kind: Node}\n"
    )
    assert [(m.origin, m.document["kind"]) for m in read(text)] == [("f.yaml:4", "Pod"), ("f.yaml:6 items[0]", "Node")]


def test_items_of_a_typed_list_get_their_kind_from_the_list() -> None:
    found = read('{"kind":"PodList","apiVersion":"v1","items":[{"metadata":{"name":"a"}},{"metadata":{"name":"b"}}]}')
    assert [m.document["kind"] for m in found] == ["Pod", "Pod"]
    assert [m.document["apiVersion"] for m in found] == ["v1", "v1"]
    assert found[1].origin == "f.yaml:1 items[1]"


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        pytest.param("", [], id="empty"),
        pytest.param("---\n---\n", [], id="empty documents"),
        pytest.param("apiVersion: v1\nkind: List\nitems: null\n", [], id="list of nothing"),
        pytest.param("apiVersion: v1\nkind: List\n", [], id="list without items"),
        pytest.param("apiVersion: x/v1\nkind: AllowList\nspec: {}\n", ["AllowList"], id="a kind that ends in List"),
        pytest.param('{"apiVersion":"v1","kind":"A"}\n{"apiVersion":"v1","kind":"B"}', ["A", "B"], id="JSON stream"),
        pytest.param("{apiVersion: v1, kind: A}", ["A"], id="flow YAML is no JSON"),
        pytest.param(b"\xef\xbb\xbf" + POD.encode(), ["Pod"], id="byte order mark"),
        pytest.param(f"{POD}note: '{{{{workflow.name}}}}'\n", ["Pod"], id="braces of other tools in values"),
        pytest.param(POD.replace("\n", "\r\n"), ["Pod"], id="DOS line ends"),
        pytest.param('{"apiVersion":"v1","kind":"A","a":"\\ud83d\\ude00"}', ["A"], id="a pair escaped in JSON"),
    ],
)
def test_it_reads(text: str | bytes, kinds: list[str]) -> None:
    assert [m.document["kind"] for m in read(text)] == kinds


def test_merge_keys_fill_in_and_never_override() -> None:
    text = f"{POD}base: &base {{a: 1, b: 2}}\nother: {{<<: *base, b: 3}}\nboth: {{<<: [*base, {{c: 4}}], a: 0}}\n"
    document = read(text)[0].document
    assert document["other"] == {"a": 1, "b": 3}
    assert document["both"] == {"a": 0, "b": 2, "c": 4}


def test_what_aliases_stand_for_is_not_shared() -> None:
    document = read(f"{POD}a: &x {{items: [1]}}\nb: *x\n")[0].document
    document["a"]["items"].append(2)
    assert document["b"] == {"items": [1]}


BOMB = (
    POD
    + "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
    + "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9))
)
DEEP = (
    POD
    + f"a0: &a0 {'[' * 60}{']' * 60}\n"
    + "".join(f"a{n}: &a{n} {'[' * 60}*a{n - 1}{']' * 60}\n" for n in range(1, 5))
)
LISTS = '{"apiVersion":"v1","kind":"List","items":[' * 10 + "]}" * 10


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        pytest.param(f"{POD}kind: Node\n", 4, "the key 'kind' is there twice; keep one", id="duplicate key"),
        pytest.param('{"kind":"A",\n"kind":"B"}', 1, "the key 'kind' is there twice", id="JSON duplicate"),
        pytest.param(f"{POD}a: {{b: 1, b: 2}}\n", 4, "twice", id="nested duplicate"),
        pytest.param(BOMB, 8, "aliases unfold to more than", id="alias bomb"),
        pytest.param(f"{POD}a: &a [*a]\n", 4, "inside its own anchor", id="alias in itself"),
        pytest.param(f"{POD}a: *nowhere\n", 4, "no anchor &nowhere", id="alias of nothing"),
        pytest.param(f"{POD}a: {'[' * 300}{']' * 300}\n", 4, "nested deeper than 200", id="deep nesting"),
        pytest.param('{"a":' * 100_000, 1, "nested deeper than 200", id="very deep JSON"),
        pytest.param(f"{POD}a: [1,\n", 5, "no valid YAML", id="unfinished"),
        pytest.param("a: b: c\n", 1, "no valid YAML: mapping values are not allowed", id="two colons"),
        pytest.param(f"{POD}\ta: 1\n", 4, "no valid YAML", id="tab"),
        pytest.param(f"{POD}a: \x01\n", 4, "control characters are not allowed", id="control character"),
        pytest.param(POD.encode() + b"a: \x00", 4, "NUL byte", id="NUL"),
        pytest.param(POD.encode() + b"\n\xff\xfe", 5, "no valid UTF-8", id="not UTF-8"),
        pytest.param(POD.encode("utf-16"), 1, "UTF-16", id="UTF-16"),
        pytest.param("a: '\ud800'", 1, "surrogate", id="half a surrogate pair"),
        pytest.param('{"apiVersion":"v1","kind":"A","a":"\\ud800"}', 1, "escape code", id="half a pair in JSON"),
        pytest.param(DEEP, 7, "nested deeper than 200", id="nesting through aliases"),
        pytest.param(LISTS, 1, "more than 8 levels deep", id="lists in lists"),
        pytest.param(f"{POD}a: !Ref b\n", 4, "the tag '!Ref' has no meaning", id="foreign tag"),
        pytest.param(f"{POD}a: !set {{b}}\n", 4, "the tag '!set' has no meaning", id="foreign tag of a mapping"),
        pytest.param(f"{POD}a: !!int x\n", 4, "not what its tag", id="tag that lies"),
        pytest.param(f"{POD}<<: 3\n", 4, "merge key", id="merge of a number"),
        pytest.param(f"{POD}? [a]\n: b\n", 4, "a key is a mapping or a list", id="list as key"),
        pytest.param(f"{POD}a: {{~: b}}\n", 4, "a key is empty", id="null as key"),
        pytest.param("- a\n", 1, "is a list, not an object", id="top-level list"),
        pytest.param("just text\n", 1, "is a plain value, not an object", id="text"),
        pytest.param("replicaCount: 1\n", 1, "apiVersion is missing", id="values file"),
        pytest.param("apiVersion: v1\n", 1, "kind is missing", id="no kind"),
        pytest.param("apiVersion: 1\nkind: A\n", 1, "apiVersion is no text", id="apiVersion as number"),
        pytest.param("apiVersion: v1\nkind: List\nitems: {}\n", 1, "items of the List is no list", id="items mapping"),
        pytest.param("apiVersion: v1\nkind: List\nitems:\n- 3\n", 1, "plain value", id="item is a number"),
        pytest.param("replicas: {{ .Values.n }}\n", 1, "render it first: helm template", id="template in a value"),
        pytest.param("{{- if .Values.on }}\na: b\n{{- end }}\n", 1, "render it first", id="template around all"),
        pytest.param(f'{POD}---\napiVersion: v1\nkind: Pod\nmetadata: {{name: "{{{{ .Release.Name }}}}"}}\n', 5,
                     "render it first", id="template in a name"),
    ],
)  # fmt: skip
def test_it_refuses_with_place_and_cure(text: str | bytes, where: int, what: str) -> None:
    with pytest.raises(manifests.ManifestError) as caught:
        read(text)
    message = str(caught.value)
    assert message.startswith(f"f.yaml:{where}")
    assert what in message
    assert "\n" not in message


@pytest.mark.parametrize("depth", [972, 10_000])
def test_json_is_read_however_deep_what_nobody_reads_is(depth: int) -> None:
    deep = '{"a":' * depth + "1" + "}" * depth
    text = (
        f'{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"web","managedFields":[{deep}]}},"spec":{{"x":"[["}}}}'
    )

    (first, second) = read(text + text)

    assert first.document["spec"] == second.document["spec"] == {"x": "[["}
    assert first.document["metadata"]["name"] == "web"


def test_what_stands_before_an_error_is_read() -> None:
    found = manifests.read_text(f"{POD}---\na: [\n", "f.yaml")
    assert next(found).document["kind"] == "Pod"
    with pytest.raises(manifests.ManifestError):
        next(found)


@given(st.text(max_size=60) | st.binary(max_size=60))
@settings(max_examples=100, deadline=None)
def test_any_input_is_read_or_refused_in_one_line(text: str | bytes) -> None:
    problem = ""
    try:
        kinds = [found.document["kind"] for found in manifests.read_text(text, "f")]
    except manifests.ManifestError as error:
        kinds, problem = [], str(error)
    assert all(kinds)
    assert len(problem.splitlines()) <= 1


# --- files ----------------------------------------------------------------------------------------------------------


def test_a_directory_is_read_in_order_and_tells_every_error(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "z.json").write_text('{"apiVersion": "v1", "kind": "Node"}')
    (tmp_path / "a.yml").write_text(POD)
    (tmp_path / "broken.yaml").write_text("a: [")
    (tmp_path / "worse.yaml").write_bytes(b"\xff")
    (tmp_path / "notes.txt").write_text("no manifest")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "c.yaml").write_text("a: [")
    (tmp_path / "loop").symlink_to(tmp_path)
    found = list(manifests.read_path(tmp_path))
    assert [m.document["kind"] for m in found if isinstance(m, manifests.Manifest)] == ["Pod", "Node"]
    errors = [str(m) for m in found if isinstance(m, manifests.ManifestError)]
    assert [error.split(": ")[0] for error in errors] == [f"{tmp_path}/broken.yaml:1", f"{tmp_path}/worse.yaml:1"]


def test_a_directory_without_manifests_is_an_error(tmp_path: Path) -> None:
    (found,) = manifests.read_path(tmp_path)
    assert str(found) == f"{tmp_path}: holds no .yaml, .yml or .json file; name a directory that does"


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    (found,) = manifests.read_path(tmp_path / "x.yaml")
    assert (
        str(found)
        == f"{tmp_path}/x.yaml: cannot be read: No such file or directory; check the path and its permissions"
    )


def test_a_named_file_may_have_any_suffix(tmp_path: Path) -> None:
    (tmp_path / "out").write_text(POD)
    assert [type(m) for m in manifests.read_path(tmp_path / "out")] == [manifests.Manifest]


def test_a_file_that_is_too_large_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "big.yaml").open("wb") as file:
        file.truncate(manifests.MAX_BYTES + 1)
    (found,) = manifests.read_path(tmp_path / "big.yaml")
    assert str(found) == f"{tmp_path}/big.yaml: is larger than 50 MiB; split it"


def test_a_stream_is_read_and_named() -> None:
    assert [m.origin for m in manifests.read_stream(io.BytesIO(POD.encode()))] == ["standard input:1"]
