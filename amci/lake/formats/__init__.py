"""Readers of raw files: CSV, JSON, Parquet and Excel, also zipped, become batches in which every column is text.

The readers are imported when the first file is read: how files are written is part of every dataset.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from amci.lake.formats.model import (
    ColumnPath,
    CsvOptions,
    Doubt,
    ExcelOptions,
    FileFormat,
    JsonOptions,
    Limits,
    ReadFacts,
    TextBatch,
    format_of,
)

if TYPE_CHECKING:
    from amci.lake.formats.reading import Reading

__all__ = [
    "ColumnPath",
    "CsvOptions",
    "Doubt",
    "ExcelOptions",
    "FileFormat",
    "JsonOptions",
    "Limits",
    "ReadFacts",
    "Reading",
    "TextBatch",
    "format_of",
]


def __getattr__(name: str) -> Any:
    if name == "Reading":
        from amci.lake.formats.reading import Reading

        return Reading
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
