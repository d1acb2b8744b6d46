"""What the names of a query mean, and what is known of each value: its level, its users (amc-api 3.3, 3.5)."""
