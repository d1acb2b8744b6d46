"""Audiences: rule-based and lookalike, made and refreshed by and by (amc-api 2.4)."""
