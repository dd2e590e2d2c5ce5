"""What guardrails may ask about the cluster, and who answers: a snapshot directory or informers."""
