"""AMC's functions, and what they are in DuckDB (amc-api 3.2)."""
