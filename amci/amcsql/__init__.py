"""AMC SQL: parsed, checked, given its meaning and its privacy rules, and written for DuckDB (amc-api 3)."""
