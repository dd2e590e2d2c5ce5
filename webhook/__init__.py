"""Podgate: a Kubernetes admission webhook that keeps the cost and the security of pods inside guardrails."""
