"""Prices, and what a pod costs. Money is an integer of micro-units of the currency per hour."""
