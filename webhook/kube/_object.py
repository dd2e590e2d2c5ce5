"""The base of all typed structs of Kubernetes objects."""

import msgspec


class Object(msgspec.Struct, rename="camel", gc=False):
    """Base of all structs: camelCase on the wire, snake_case in Python, unknown fields ignored."""
