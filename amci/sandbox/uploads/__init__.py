"""Data sets that advertisers upload, and the people in them (amc-api 2.5)."""
