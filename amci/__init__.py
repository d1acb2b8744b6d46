"""Amazon Marketing Cloud Insights on one machine: files in, DuckDB SQL out."""

__version__ = "0.1.0"
