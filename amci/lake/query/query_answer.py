"""A query's answer in the forms that programs want: Arrow, Polars, pandas, Python."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from amci.kernel.errors import UsageError
from amci.lake.query.result import QueryResult

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class QueryAnswer:
    """All rows of an answer, with the columns' names and SQL types."""

    columns: tuple[str, ...]
    types: tuple[str, ...]
    _table: pa.Table

    @classmethod
    def of(cls, result: QueryResult) -> Self:
        """Everything that a query answers; raises QueryError if it fails on the way or takes too long."""
        return cls(result.columns, result.types, result.table())

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def to_arrow(self) -> pa.Table:
        """An Arrow table. HUGEINT, which sums of whole numbers are, is decimal128(38, 0)."""
        return self._table

    def to_polars(self) -> pl.DataFrame:
        """A Polars frame, without a copy where Polars can take Arrow's memory."""
        import polars as pl

        return pl.DataFrame(self._table)

    def to_pandas(self) -> pd.DataFrame:
        """A pandas frame with Arrow's types, so that NULL stays NULL and decimals keep their digits.

        Raises UsageError if pandas is not installed.
        """
        try:
            import pandas as pd
        except ModuleNotFoundError:
            raise UsageError("pandas is not installed", hint="pip install 'amci[notebook]'") from None
        frame: pd.DataFrame = self._table.to_pandas(types_mapper=pd.ArrowDtype)
        return frame

    def fetchall(self) -> list[tuple[Any, ...]]:
        """The rows as tuples of Python values; whole numbers are int, whatever their size."""
        columns = [
            [value if value is None else int(value) for value in column.to_pylist()]
            if kind in ("HUGEINT", "UHUGEINT")
            else column.to_pylist()
            for column, kind in zip(self._table.columns, self.types, strict=True)
        ]
        return list(zip(*columns, strict=True)) if columns else []
