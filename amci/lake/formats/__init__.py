"""Readers of raw files: CSV, JSON, Parquet and Excel, also zipped, become batches in which every column is text."""

from amci.lake.formats.model import (
    ColumnPath,
    CsvOptions,
    Doubt,
    ExcelOptions,
    FileFormat,
    JsonOptions,
    Limits,
    TextBatch,
    format_of,
)
from amci.lake.formats.reading import Reading

__all__ = [
    "ColumnPath",
    "CsvOptions",
    "Doubt",
    "ExcelOptions",
    "FileFormat",
    "JsonOptions",
    "Limits",
    "Reading",
    "TextBatch",
    "format_of",
]
