"""The base of all typed structs of Kubernetes objects."""

import msgspec

RawQuantity = str | int | float
"""A quantity as it stands in JSON or YAML: text, or a bare number, which counts as its literal text."""

ResourceMap = dict[str, RawQuantity | None]


class Object(msgspec.Struct, rename="camel", gc=False, omit_defaults=True):
    """Base of all structs: camelCase on the wire, snake_case in Python, unknown fields ignored.

    What is encoded again, to be kept and compared, leaves out what is absent: most fields of most objects are.
    """
