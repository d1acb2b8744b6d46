"""AMC's data types of parameters: which values they take, and how a value is written in a request (amc-api 2.2)."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, model_serializer

from amci.kernel import dates
from amci.kernel.config import Strict
from amci.kernel.errors import UsageError
from amci.kernel.files import json_of


class DataType(StrEnum):
    """AMC's `dataType`."""

    BINARY = "BINARY"
    BOOLEAN = "BOOLEAN"
    BYTE = "BYTE"
    CALENDAR_INTERVAL = "CALENDAR_INTERVAL"
    DATE = "DATE"
    DECIMAL = "DECIMAL"
    DOUBLE = "DOUBLE"
    FLOAT = "FLOAT"
    INTEGER = "INTEGER"
    LONG = "LONG"
    SHORT = "SHORT"
    STRING = "STRING"
    TIMESTAMP = "TIMESTAMP"


class ParameterType(Strict):
    """The type of a parameter: one value, or a list of values."""

    of: DataType
    """Of one value."""
    is_array: bool = False
    """Whether it is a list."""

    def __str__(self) -> str:
        return f"ARRAY of {self.of}" if self.is_array else str(self.of)

    @model_serializer
    def as_amc(self) -> str | dict[str, str]:
        """AMC's `dataType`: a word, or an object for arrays."""
        return {"type": "ARRAY", "elementDataType": str(self.of)} if self.is_array else str(self.of)


def _parameter_type(value: object) -> ParameterType:
    if isinstance(value, ParameterType):
        return value
    is_array = isinstance(value, Mapping) and str(value.get("type", "")).upper() == "ARRAY"
    name = value.get("elementDataType", "") if isinstance(value, Mapping) else value
    if (isinstance(value, Mapping) and not is_array) or str(name).upper() not in DataType.__members__:
        known = ", ".join(DataType)
        raise ValueError(f"should be one of {known}, or {{type: ARRAY, elementDataType: STRING}}")
    return ParameterType(of=DataType[str(name).upper()], is_array=is_array)


ParameterTypeField = Annotated[ParameterType, BeforeValidator(_parameter_type)]


def converted(value: Any, wanted: ParameterType) -> Any:
    """The value as JSON, without loss; a dynamic date stays as it is. Raises ValueError with one sentence.

    Texts are converted if the type is not text, since a command line has nothing else: `7`, `true`, `["a", "b"]`.
    """
    if not wanted.is_array:
        return _one(value, wanted.of)
    if isinstance(value, str) and value.strip().startswith("["):
        try:
            value = json_of(value)
        except ValueError:
            raise ValueError(f"{value!r} is not a list in JSON") from None
    if not isinstance(value, list | tuple):
        raise ValueError(f'{value!r} is not a list; write ["a", "b"]')  # noqa: TRY004 - one kind of error for all
    return [_one(element, wanted.of) for element in value]


def resolved(value: Any, of: ParameterType, at: datetime, zone: ZoneInfo) -> Any:
    """A converted value with its dynamic dates as of `at`; raises UsageError."""
    if isinstance(value, list):
        return [resolved(element, of, at, zone) for element in value]
    if not isinstance(value, str) or of.of not in _WITH_DYNAMIC_DATES:
        return value
    return dates.resolved(value, at, zone, "date" if of.of is DataType.DATE else "datetime")


def is_dynamic(value: Any, of: ParameterType) -> bool:
    """Whether a converted value has to be resolved before AMC can take it."""
    values = value if isinstance(value, list) else [value]
    return of.of in _WITH_DYNAMIC_DATES and any(isinstance(v, str) and dates.is_dynamic(v) for v in values)


_WITH_DYNAMIC_DATES = {DataType.STRING, DataType.DATE, DataType.TIMESTAMP}
_BITS = {DataType.BYTE: 8, DataType.SHORT: 16, DataType.INTEGER: 32, DataType.LONG: 64}
_WHOLE = re.compile(r"[+-]?[0-9]{1,20}")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_TIMESTAMP = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(?:\.\d{1,6})?Z?", re.ASCII)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def _one(value: Any, of: DataType) -> Any:
    if of in _WITH_DYNAMIC_DATES and isinstance(value, str) and _is_dynamic(value, of):
        return value.strip()
    if of in _BITS:
        return _whole(value, of)
    taken = _READERS[of](value)
    if taken is None:
        raise ValueError(f"{value!r} is not a {of}; write {_EXAMPLES[of]}")
    return taken


def _is_dynamic(value: str, of: DataType) -> bool:
    try:
        is_one = dates.is_dynamic(value)
    except UsageError as error:
        raise ValueError(f"{error}; {error.hint}") from None
    if is_one and of is DataType.DATE and value.strip().upper() == "NOW()":
        raise ValueError("NOW() is a moment, and a DATE is wanted; write TODAY()")
    return is_one


def _whole(value: Any, of: DataType) -> int:
    is_whole = (isinstance(value, int) and not isinstance(value, bool)) or (
        isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value()
    )
    if not is_whole and not (isinstance(value, str) and _WHOLE.fullmatch(value.strip())):
        raise ValueError(f"{value!r} is not a whole number, and {of} is wanted")
    number, limit = int(value), 2 ** (_BITS[of] - 1)
    if not -limit <= number < limit:
        raise ValueError(f"{number} is out of range: {of} goes from {-limit} to {limit - 1}")
    return number


def _double(value: Any) -> float | None:
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, Decimal) and value.is_finite():
        value = float(value)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    # A whole number beyond all doubles cannot even be asked whether it is finite.
    return value if abs(value) <= sys.float_info.max else None


def _decimal(value: Any) -> str | float | None:
    if isinstance(value, str):
        return value.strip() if _NUMBER.fullmatch(value.strip()) else None
    if isinstance(value, Decimal):
        return f"{value:f}" if value.is_finite() else None
    return _double(value)


def _boolean(value: Any) -> bool | None:
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.strip().lower())
    return value if isinstance(value, bool) else None


def _date(value: Any) -> str | None:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    return value if isinstance(value, str) and _DATE.fullmatch(value) and _exists(value) else None


def _timestamp(value: Any) -> str | None:
    if isinstance(value, datetime):
        return _moment(value)
    return value if isinstance(value, str) and _TIMESTAMP.fullmatch(value) and _exists(value) else None


def _string(value: Any) -> str | None:
    if isinstance(value, datetime):
        return _moment(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else None


def _moment(value: datetime) -> str:
    return f"{value.astimezone(UTC).replace(tzinfo=None).isoformat()}Z" if value.tzinfo else value.isoformat()


def _exists(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


_READERS: Mapping[DataType, Callable[[Any], Any]] = {
    DataType.BINARY: _text,
    DataType.BOOLEAN: _boolean,
    DataType.CALENDAR_INTERVAL: _text,
    DataType.DATE: _date,
    DataType.DECIMAL: _decimal,
    DataType.DOUBLE: _double,
    DataType.FLOAT: _double,
    DataType.STRING: _string,
    DataType.TIMESTAMP: _timestamp,
}
_EXAMPLES = {
    DataType.BINARY: "text in quotes",
    DataType.BOOLEAN: "true or false",
    DataType.CALENDAR_INTERVAL: "text in quotes",
    DataType.DATE: "yyyy-MM-dd or a dynamic date such as TODAY(-1)",
    DataType.DECIMAL: "a number such as 19.99",
    DataType.DOUBLE: "a number such as 0.5",
    DataType.FLOAT: "a number such as 0.5",
    DataType.STRING: "text in quotes",
    DataType.TIMESTAMP: "yyyy-MM-ddTHH:mm:ss or a dynamic date such as NOW()",
}
