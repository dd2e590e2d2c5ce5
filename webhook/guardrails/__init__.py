"""The guardrails: one plain module each, found by listing this package.

A module without a leading underscore is a guardrail and has the name of its policy section in snake_case. It offers a
module-level ``GUARDRAIL`` (see `webhook.guardrails.base.contract`). Nothing else has to be told of a new one.
"""
