"""The catalog: DuckLake tables, their columns and types, and the connection to them."""
