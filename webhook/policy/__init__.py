"""The policy YAML: one strict model per guardrail section, the four kinds around them, loading and reloading.

``policy/<guardrail>.py`` holds the section of ``guardrails/<guardrail>.py`` under the same name. A module without a
leading underscore whose ``SECTION`` names a section class becomes a field of ``GuardrailPolicy.spec``.
"""
