"""What a review is about, read from bytes that nobody decodes: a body that is too large to be kept, or broken.

The reader is fed pieces as they come, keeps the few fields that it looks for, and remembers nothing else: not the text,
and not how deep it is. It takes what looks like JSON and finds no fault with the rest.
"""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from webhook.admission.request_fields import API_VERSION, GroupVersionKind, GroupVersionResource, OtherRequest, UserInfo
from webhook.kube.shallow import MOST_BRACKETS, STRING_REST

LONGEST: Final = 4_096
"""Bytes of a value that is kept; a longer one counts as absent."""

MOST_GROUPS: Final = 1_000

_Path = tuple[bytes, ...]
_ITEM: Final = b"[]"
"""Stands for an element of an array in a path."""

_WANTED: Final[Mapping[_Path, str]] = {
    (b"kind",): "review",
    (b"apiVersion",): "version",
    (b"request", b"uid"): "uid",
    (b"request", b"kind", b"group"): "kind.group",
    (b"request", b"kind", b"version"): "kind.version",
    (b"request", b"kind", b"kind"): "kind",
    (b"request", b"resource", b"group"): "resource.group",
    (b"request", b"resource", b"version"): "resource.version",
    (b"request", b"resource", b"resource"): "resource",
    (b"request", b"subResource"): "subresource",
    (b"request", b"name"): "name",
    (b"request", b"namespace"): "namespace",
    (b"request", b"operation"): "operation",
    (b"request", b"dryRun"): "dry_run",
    (b"request", b"userInfo", b"username"): "user",
    (b"request", b"userInfo", b"uid"): "user.uid",
    (b"request", b"userInfo", b"groups", _ITEM): "group",
}
_ENOUGH: Final = frozenset({"review", "version", "uid", "kind", "namespace", "operation", "user"})
_PARENTS: Final = frozenset(path[:length] for path in _WANTED for length in range(len(path)))

_SHALLOW: Final = re.compile(rb'["{}\[\],:]|[^\s"{}\[\],:]++')
_DEEP: Final = re.compile(rb'["{}\[\]]')
_STRING_REST: Final = re.compile(STRING_REST, re.DOTALL)


class _Level:
    """An object or array that leads to a field that is looked for."""

    __slots__ = ("is_array", "is_text", "key", "value")

    def __init__(self, *, is_array: bool) -> None:
        self.is_array = is_array
        self.is_text = False
        """Whether `value` is a string, and no literal."""
        self.key = _ITEM if is_array else b""
        self.value: bytearray | None = None
        """The string or literal that came last; what it is shows when a colon, a comma or the end follows."""


class Head:
    """Finds out what a review is about."""

    def __init__(self, body: bytes = b"", *, is_brief: bool = False) -> None:
        """Args:
        body: the first piece.
        is_brief: stop as soon as it is known who asks for what where; ``dryRun``, which may stand at the very end, then
            stays unknown.
        """
        self._levels: list[_Level] = []
        self._below = 0
        """Levels inside a value that is of no interest."""
        self._is_in_string = self._is_escaped = False
        self._found: dict[str, str] = {}
        self._groups: list[str] = []
        self._left = MOST_BRACKETS
        self._is_brief = is_brief
        self.feed(body)

    @property
    def is_review(self) -> bool:
        """Whether this is an AdmissionReview v1 that can be answered: with a uid."""
        found = self._found
        is_ours = found.get("review") == "AdmissionReview" and found.get("version") == API_VERSION
        return is_ours and bool(found.get("uid"))

    @property
    def namespace(self) -> str | None:
        """Of the request; None where it was not found."""
        return self._found.get("namespace")

    @property
    def user(self) -> str:
        """Who asks; empty where it was not found."""
        return self._found.get("user", "")

    def request(self) -> OtherRequest:
        """Return the request without its objects."""
        found = self._found
        return OtherRequest(
            uid=found.get("uid", ""),
            kind=GroupVersionKind(found.get("kind.group", ""), found.get("kind.version", ""), found.get("kind", "")),
            resource=GroupVersionResource(
                found.get("resource.group", ""), found.get("resource.version", ""), found.get("resource", "")
            ),
            sub_resource=found.get("subresource"),
            name=found.get("name"),
            namespace=found.get("namespace"),
            operation=found.get("operation", ""),
            user_info=UserInfo(self.user, found.get("user.uid", ""), self._groups),
            dry_run=found.get("dry_run") == "true",
        )

    def feed(self, piece: bytes) -> None:
        """Read on; in time that grows with the piece, and in no memory that does."""
        at, end = 0, len(piece)
        while at < end and self._left > 0:
            if self._is_in_string:
                at = self._read_string(piece, at)
                continue
            match = (_DEEP if self._below else _SHALLOW).search(piece, at)
            if match is None:
                return
            self._left -= 1
            at = match.end()
            if self._below:
                self._skip(match.group())
            else:
                self._read(match.group())

    def _read_string(self, piece: bytes, at: int) -> int:
        start = at
        if self._is_escaped:
            at += 1
            self._is_escaped = False
        match = _STRING_REST.match(piece, at)
        at = match.end() if match is not None else at
        self._keep(piece[start : min(at, start + LONGEST + 1)])
        if at == len(piece):
            return at
        if piece[at] == 0x22:  # The closing quote.
            self._is_in_string = False
        else:  # A backslash that ends the piece; what it escapes comes with the next one.
            self._is_escaped = True
            self._keep(b"\\")
        return at + 1

    def _keep(self, text: bytes) -> None:
        value = self._levels[-1].value if self._levels and not self._below else None
        if value is not None and len(value) <= LONGEST:
            value += text

    def _skip(self, token: bytes) -> None:
        if token == b'"':
            self._is_in_string = True
        elif token in b"{[":
            self._below += 1
        else:
            self._below -= 1

    def _read(self, token: bytes) -> None:
        levels = self._levels
        if token in (b"{", b"["):
            if tuple(level.key for level in levels) in _PARENTS:
                levels.append(_Level(is_array=token == b"["))
            else:
                self._below = 1
        elif not levels:
            return
        elif token == b'"':
            levels[-1].value, levels[-1].is_text = bytearray(), True
            self._is_in_string = True
        elif token == b":":
            if not levels[-1].is_array:
                levels[-1].key, levels[-1].value = bytes(levels[-1].value or b""), None
        elif token in (b",", b"}", b"]"):
            self._take()
            if token != b",":
                levels.pop()
        elif levels[-1].value is None:
            levels[-1].value, levels[-1].is_text = bytearray(token[: LONGEST + 1]), False
        else:  # A literal that was cut in two between pieces.
            self._keep(token)

    def _take(self) -> None:
        """Keep the value that has just ended, where it is looked for."""
        level = self._levels[-1]
        value, level.value = level.value, None
        name = _WANTED.get(tuple(level.key for level in self._levels)) if value is not None else None
        if not level.is_array:
            level.key = b""
        if name is None or value is None or len(value) > LONGEST or level.is_text is (name == "dry_run"):
            return
        if name == "group" and len(self._groups) >= MOST_GROUPS:
            return
        text = _text(bytes(value))
        if name == "group":
            self._groups.append(text or _replaced(bytes(value)))
            return
        # The uid is answered with, so what is no text is none at all.
        self._found[name] = text if text is not None else "" if name == "uid" else _replaced(bytes(value))
        if self._is_brief and self._found.keys() >= _ENOUGH:
            self._left = 0


def _text(raw: bytes) -> str | None:
    """Return what a JSON string says; None where it is none, such as half of a surrogate pair."""
    try:
        return msgspec.json.decode(b'"%b"' % raw, type=str)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _replaced(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
