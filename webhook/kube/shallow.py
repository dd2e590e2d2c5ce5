"""Cuts out of JSON what lies deeper than any guardrail reads.

An API server sends ``managedFields`` nested up to 10,000 levels deep, and a decoder that skips them by recursion gives
up far before that. Nothing that is read lies deeper than a few dozen levels, so whatever begins below `LEVELS` is
replaced by ``null``, without recursion, in one pass, and only once the decoder has given up: usual reviews never come
here.
"""

import re
from typing import Final

LEVELS: Final = 100
"""Objects and arrays inside each other that are kept, the outermost one included."""

MOST_BRACKETS: Final = 4_000_000
"""Strings, and brackets of either side, that are looked at: twice what the largest object of an API server can hold."""

STRING_REST: Final = rb'(?:[^"\\]++|\\.)*+'
"""The inside of a JSON string; possessive, so that it takes no memory."""

_TOKENS: Final = re.compile(rb'"' + STRING_REST + rb'(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)
_OPENING: Final = frozenset(b"[{")
_CLOSING: Final = frozenset(b"]}")


class TooManyBracketsError(ValueError):
    """The text has more than `MOST_BRACKETS`, which no API server sends."""


def cut(body: bytes, levels: int = LEVELS) -> bytes:
    """Return the JSON with every object and array below `levels` replaced by ``null``.

    A body without such a value is returned as it is. Whether the brackets match is left to the decoder; a body that
    ends inside a deep value ends there, and stays no JSON.

    Raises:
        TooManyBracketsError: looking at all of it would take too long.
    """
    pieces: list[bytes] = []
    depth = kept_from = 0
    for seen, match in enumerate(_TOKENS.finditer(body)):
        at = match.start()
        token = body[at]
        if token in _OPENING:
            depth += 1
            if depth == levels + 1:
                pieces.append(body[kept_from:at])
        elif token in _CLOSING:
            if depth == levels + 1:
                kept_from = at + 1
                pieces.append(b"null")
            depth -= 1
        if seen >= MOST_BRACKETS:
            raise TooManyBracketsError("the body has more brackets and strings than an API server sends")
    if not pieces:
        return body
    if depth <= levels:
        pieces.append(body[kept_from:])
    return b"".join(pieces)
