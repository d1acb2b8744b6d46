"""Audiences, rule-based and lookalike: created, and refreshed over time (amc-api 2.4)."""
