"""Aggregation thresholds: a query that counts its users, and what of its result is shown (amc-api 3.3)."""
