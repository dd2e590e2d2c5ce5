"""Budgets: what is committed, what a new pod adds, and who may take the last money."""
