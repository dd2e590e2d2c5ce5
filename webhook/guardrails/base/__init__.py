"""What guardrails are made of: the contract, the registry, and the cost of a pod."""
