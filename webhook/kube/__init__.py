"""What Kubernetes itself defines: objects, quantities, selectors, JSON Patch.

Nothing in here knows a policy. Everything above imports modules from here, never the other way round.
"""
