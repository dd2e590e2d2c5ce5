"""The guardrails: one module or package each, found by listing this package.

Every module and package but `base` is a guardrail and has the name of its policy section in snake_case. It offers a
module-level ``GUARDRAIL`` (see `webhook.guardrails.base.contract`). Nothing else has to be told of a new one.
"""
