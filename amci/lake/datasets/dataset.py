"""A dataset: which keys belong to it, how they are read, and which tables they become."""

from __future__ import annotations

import re
import string
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from amci.kernel.config import Size, Strict
from amci.kernel.names import comparable
from amci.lake.datasets.column_types import ColumnTypes, sql_type
from amci.lake.datasets.pii import PiiRules
from amci.lake.datasets.quality import QualityRule
from amci.lake.datasets.spelling import DateFormat, Spelling
from amci.lake.formats import CsvOptions, ExcelOptions, JsonOptions, Limits

#: A pattern's placeholder: one path segment or a part of one.
PLACEHOLDER = re.compile(r"\{([a-z_][a-z0-9_]*)\}")

_SCHEMAS_OF_THE_DATABASE = ("amci", "information_schema", "main", "pg_catalog", "system", "temp")
#: Characters of a schema's name, which is a folder, too.
_LONGEST_SCHEMA = 200


class CsvSettings(Strict):
    """How CSV is written."""

    delimiter: str = "auto"
    """Separator of fields: one character, or `auto`: the comma, or a tab, `;` or `|` by which all of the first records
    have equally many fields, or what a first line such as `sep=;` names. If several fit, a doubt tells."""
    quote: str = '"'
    """Quote around fields that hold separators or line breaks; `none` if nothing is quoted, as in the flat files of
    marketplaces."""
    escape: Literal["auto", "double", "backslash"] = "auto"
    """How a quote inside a quoted field is written: doubled, or with a backslash as AMC does. `backslash` reads
    `\\"` as a quote, and `\\\\"` as a backslash after which the field ends; elsewhere backslashes stay, `\\\\d` as
    both of them."""
    encoding: str = "auto"
    """`auto` takes UTF-8, UTF-16 with a mark, else what gives believable words: Windows-1252 (a superset of Latin-1),
    CP932 for Japanese or Windows-1251 for Cyrillic, which a doubt tells. A text that is none of them is refused. A byte
    order mark counts more than what is named here."""
    skip_lines: int = Field(default=0, ge=0, le=10_000)
    """Lines before the header that are no part of the table, blank ones counted."""
    footer_lines: int = Field(default=0, ge=0, le=10_000)
    """Lines after the rows that are no part of the table, such as a total; blank ones at the very end do not count."""
    comment: str = "none"
    """Lines that begin with this character are left out, such as `"#"`, but not inside quotes; `none` if there are no
    such lines."""

    blanks: Literal["keep", "strip"] = "keep"
    """`strip` leaves out blanks around values, as in `1, 2`; with them, a number is text."""
    formulas: Literal["keep", "text"] = "keep"
    """`text` reads `="00123"`, by which Excel is told that digits are text, as the text 00123."""
    columns: tuple[str, ...] = ()
    """Names of all columns, in order, of files without a header, whose first line is a row."""

    @field_validator("delimiter", "quote", "comment")
    @classmethod
    def _one_character(cls, value: str, info: ValidationInfo) -> str:
        word = "auto" if info.field_name == "delimiter" else "none"
        if len(value) != 1 and value != word:
            raise ValueError(f"should be one character, or `{word}`")
        return value

    @model_validator(mode="after")
    def _readable(self) -> CsvSettings:
        self.options()
        return self

    def options(self, *, apostrophe: bool = False) -> CsvOptions:
        """What the CSV reader is told; raises ValueError if it cannot be."""
        return CsvOptions(
            delimiter=self.delimiter,
            quote="" if self.quote == "none" else self.quote,
            escape=self.escape,
            encoding=self.encoding,
            apostrophe=apostrophe,
            skip_lines=self.skip_lines,
            footer_lines=self.footer_lines,
            comment="" if self.comment == "none" else self.comment,
            strip=self.blanks == "strip",
            formulas_as_text=self.formulas == "text",
            columns=self.columns,
        )


class JsonSettings(Strict):
    """How JSON is laid out."""

    explode: bool = False
    """Each top-level array becomes a table of its own, as in Selling Partner reports; null is none."""
    drop: tuple[str, ...] = ()
    """With `explode`: top-level fields to leave out, because they are no arrays or not wanted; `reportSpecification` of
    Selling Partner reports always is."""
    nan: Literal["refuse", "null"] | None = "refuse"
    """`null` takes NaN and Infinity, which are not JSON but which Python writes, for no value."""
    repeated_key: Literal["refuse", "last"] = "refuse"
    """An object that has a key twice is refused; with `last`, the value that comes last counts."""


class ExcelSettings(Strict):
    """Where the table is in an Excel workbook."""

    sheet: Annotated[int, Field(ge=1)] | str = 1
    """Name of the sheet, or which of those that are not hidden; a name of digits in quotes. If this is not given, a
    doubt tells of further sheets with rows."""
    skip_lines: int = Field(default=0, ge=0, le=10_000)
    """Rows of the sheet before the header that are no part of the table, blank ones counted."""
    footer_lines: int = Field(default=0, ge=0, le=10_000)
    """Rows after the table that are no part of it, counted from the last one with a value."""
    errors: Literal["refuse", "null"] | None = "refuse"
    """`null` takes errors such as `#REF!` for no value."""
    columns: tuple[str, ...] = ()
    """Names of all columns, from A on, of sheets without a header, whose first row with a value is a row."""

    @field_validator("sheet", mode="before")
    @classmethod
    def _name_or_number(cls, value: object) -> object:
        is_number = isinstance(value, int) and not isinstance(value, bool) and value > 0
        if not is_number and not isinstance(value, str):
            raise ValueError("should be the name of a sheet, or its number, from 1")
        return value

    @model_validator(mode="after")
    def _readable(self) -> ExcelSettings:
        self.options()
        return self

    def options(self) -> ExcelOptions:
        """What the Excel reader is told; raises ValueError if it cannot be."""
        return ExcelOptions(
            sheet=self.sheet if "sheet" in self.model_fields_set else None,
            skip_lines=self.skip_lines,
            footer_lines=self.footer_lines,
            error_as_null=self.errors in ("null", None),
            columns=self.columns,
        )


class LimitSettings(Strict):
    """What a file may cost before it is refused."""

    max_line: Size = Limits().max_line_bytes
    """Longest record."""
    max_expanded: Size = Limits().max_expanded_bytes
    """Most bytes a compressed file may unfold to."""
    max_ratio: int = Field(default=Limits().max_ratio, ge=1)
    """Most times its own size a compressed file may unfold to."""
    max_columns: int = Field(default=Limits().max_columns, ge=1, le=100_000)
    """Most columns, of a file and of a table."""


class Dataset(Strict):
    """One file in config/datasets/."""

    dataset: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    """Its id; second folder of its keys in the built-in pattern."""
    extends: Literal["built_in", "none"] | None = Field(default=None, exclude=True)
    """For the id of a dataset that comes with amci. `built_in`: what is not given here is as in that one. `none`: it is
    as in any other dataset. If this is not given: `built_in`, unless `pattern` lacks a name that that one's has."""
    team: str = Field(default="adtech", pattern=r"^[a-z][a-z0-9_]*$")
    """Who owns it; first folder of its keys. Schema in the lake is `{team}_{dataset}`, unless `database` names one."""
    database: str = ""
    """Schema in the lake, with `{team}` and `{dataset}`. The AWS solution's databases are
    `<stack>_datalake_dev_{team}_{dataset}_db`, with the name of the stack. If it changes,
    `amci lake reprocess --changed` moves the rows, and `amci lake drop` takes out the old tables, which stay empty."""
    pattern: str = "{team}/{dataset}/{table}/{file}"
    """Which keys belong to it: `{name}` takes one folder or file name or a part of it. `{tenant}` must be a
    tenant's id, `{team}` and `{dataset}` this dataset's own. In a folder `key={name}` the value is decoded as Hive
    writes it: `%2F` is a slash, `__HIVE_DEFAULT_PARTITION__` is NULL."""
    format: Literal["auto", "csv", "json", "parquet", "excel"] = "auto"
    """`auto` goes by the file's ending, and by its content if that is certain. Files ending in .gz and .zst are
    unpacked; a ZIP archive is read as one object, with all files in it."""
    csv: CsvSettings = CsvSettings()
    """How CSV is written."""
    json_layout: JsonSettings = Field(default=JsonSettings(), alias="json")
    """How JSON is laid out."""
    excel: ExcelSettings = ExcelSettings()
    """Where the table is in an Excel workbook; amci reads them if it was installed as `amci[excel]`. Whole numbers that
    a workbook shows as codes, such as 01234 by the number format `00000`, are text as it is shown."""
    limits: LimitSettings = LimitSettings()
    """What a file may cost before it is refused."""
    light: str | None = None
    """Light transform: places or refuses the object, or changes its text rows before pre-stage."""
    heavy: str | None = None
    """Heavy transform: changes the typed rows before post-stage."""
    table: str = ""
    """Template of the table's name, with the pattern's names, `{prefix}`, `{team}` and `{dataset}`;
    `{table}` if the pattern has it, else the dataset's id."""
    partition_by: tuple[str, ...] = ()
    """Columns that make the Hive partitions of post-stage; names of the pattern become columns. If it changes,
    new files go by the new ones (if there are any); `amci lake rewrite` brings the others over."""
    schema_mode: Literal["evolve", "freeze"] = Field(default="evolve", alias="schema")
    """`evolve` adds and widens columns; `freeze` refuses files that would need it."""
    types: ColumnTypes = Field(default={})
    """Types of columns, by name: `amount: DECIMAL(18,2)`, `zip: VARCHAR`; also BOOLEAN, BIGINT, DOUBLE, DATE, TIME,
    TIMESTAMP, TIMESTAMPTZ and UUID. If a value does not fit, the column is text, with a doubt (`amci lake doubts`);
    with `schema: freeze` the file is refused."""
    dates: Literal["typed", "text"] | tuple[str, ...] = "typed"
    """Whether dates and timestamps become typed columns; or in which formats, as those of `strptime`, they are beside
    ISO 8601: `["%d.%m.%Y", "%d.%m.%Y %H:%M:%S %Z"]`. A value that two of them read differently is not a date. Digits
    are dates before they are numbers if a format has eight of them or more, and none has fewer: `%Y%m%d`."""
    nulls: tuple[str, ...] = ()
    """Words that mean no value, in every column: `["N/A", "--"]`."""
    decimal: Literal[".", ","] = "."
    """What stands before fractions in numbers that are text, as in CSV. Such settings change no column that is text."""
    thousands: Literal["", ",", ".", " ", "'", "’"] = ""
    """What stands between groups of three digits, as in `1.234.567`; `1.23` is then not a number. A blank may also
    be one that does not break."""
    currency: str = Field(default="", max_length=5)
    """The sign or code before or behind amounts, such as `$`, `€` or `EUR`."""
    percent: Literal["text", "fraction"] = "text"
    """`fraction` reads `12.5%` as 0.125."""
    negative: Literal["sign", "parentheses", "trailing"] = "sign"
    """How amounts below zero are written; `parentheses` reads `(3.00)` as -3.00, and `trailing` `3.00-`, as SAP writes
    it, both beside `-3.00`."""
    signs: Literal["plain", "any"] = "plain"
    """`any` reads `+5` as 5, and `−5`, whose sign is the minus of typography (U+2212), as -5; else they are text, as
    phone numbers are."""
    on_new_version: Literal["replace", "append"] = "replace"
    """What a newer version of an object does to the rows of the older one."""
    compat: Literal["none", "aws"] = "none"
    """`aws`: dates stay text, an escaped quote becomes an apostrophe, and post-stage of AMC's results is also
    partitioned by `file_last_modified`. For the names of databases see `database`."""
    doubt: Literal["warn", "refuse"] = "warn"
    """What becomes of a file that may be wrong, such as one with a tenth of the usual rows: `warn` loads it and tells,
    `refuse` leaves it in quarantine until `amci lake doubts --accept` takes it."""
    duplicates: Literal["auto", "once", "allow"] = "auto"
    """What becomes of a file with the content of another one, for the same table, partition and names of the
    pattern. `once` counts the first only. So does `auto` if both are results of one execution, or if the names say the
    same: a copy (`report (1).csv`), the same name in another root, or a renamed file; others are loaded, with a doubt.
    `allow` loads all, with a doubt. What was not counted takes over when the first is replaced or forgotten."""
    skip_if_all: str | None = None
    """A column; a file in which it is true in every row is skipped (AMC's `filtered`)."""
    exclude_workflows: tuple[str, ...] = ()
    """AMC workflows whose results are skipped."""
    timestamp_column: str | None = None
    """A column to add with the time the file was last modified (UTC)."""
    batch: int | None = Field(default=None, ge=1, le=1_000_000, exclude=True)
    """At most this many small files of this dataset share one transaction; `batch` of amci.yaml if it is not given."""
    pii: PiiRules = Field(default={})
    """Columns to hash or to drop before pre-stage is written. A file that lacks one of them is refused, unless
    its rule is `optional`."""
    quality: tuple[QualityRule, ...] = ()
    """Rules the typed rows should keep."""

    @model_validator(mode="before")
    @classmethod
    def _default_table(cls, document: Any) -> Any:
        if isinstance(document, dict) and not document.get("table"):
            pattern = document.get("pattern", cls.model_fields["pattern"].default)
            document = document | {"table": "{table}" if "{table}" in str(pattern) else "{dataset}"}
        return document

    @field_validator("pattern")
    @classmethod
    def _usable_pattern(cls, value: str) -> str:
        names = PLACEHOLDER.findall(value)
        if "{file}" not in value.rsplit("/", 1)[-1]:
            raise ValueError("should end in a file name with {file} in it")
        if len(names) != len(set(names)):
            raise ValueError("should name each placeholder once")
        if re.search(r"[{}]", PLACEHOLDER.sub("", value)):
            raise ValueError("should have placeholders of the form {name}, lower case")
        if value.startswith("/") or ".." in value.split("/"):
            raise ValueError("should be relative, without '..'")
        return value

    @field_validator("database")
    @classmethod
    def _names_a_schema(cls, value: str) -> str:
        name = value.replace("{team}", "t").replace("{dataset}", "d")
        if value and (not re.fullmatch("[a-z][a-z0-9_]*", name) or len(value) > _LONGEST_SCHEMA):
            raise ValueError(
                "should be a name of small letters, digits and '_', with {team} and {dataset} for this dataset's own"
            )
        return value

    @field_validator("dates")
    @classmethod
    def _formats_of_dates(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if isinstance(value, tuple):
            if not value:
                raise ValueError("should be typed, text or formats")
            for text in value:
                DateFormat(text)
        return value

    @field_validator("currency")
    @classmethod
    def _sign_of_a_currency(cls, value: str) -> str:
        if re.search(r"[\d\s.,'’%()+-]", value):
            raise ValueError("should be a sign or a code such as $, € or EUR")
        return value

    @model_validator(mode="after")
    def _two_separators(self) -> Dataset:
        if self.decimal == self.thousands:
            raise ValueError(f"decimal and thousands should differ; both are '{self.decimal}'")
        return self

    @model_validator(mode="after")
    def _own_schema(self) -> Dataset:
        if self.schema_name in _SCHEMAS_OF_THE_DATABASE:
            what = "`database`" if self.database else "team or dataset"
            raise ValueError(f"'{self.schema_name}' is a schema of the database's own; rename {what}")
        return self

    @model_validator(mode="after")
    def _known_names(self) -> Dataset:
        known = {*PLACEHOLDER.findall(self.pattern), "team", "dataset", "prefix", "customer_hash"}
        asked = {name for _, name, _, _ in string.Formatter().parse(self.table) if name is not None}
        if unknown := sorted(asked - known):
            raise ValueError(
                f"table: no name {', '.join(unknown)} in the pattern (there are {', '.join(sorted(known))})"
            )
        return self

    @property
    def schema_name(self) -> str:
        """Its schema in the lake."""
        return (self.database or "{team}_{dataset}").format(team=self.team, dataset=self.dataset)

    @property
    def types_dates(self) -> bool:
        """Whether dates and timestamps become typed columns."""
        return bool(self.date_formats) or (self.dates == "typed" and self.compat == "none")

    @property
    def date_formats(self) -> tuple[DateFormat, ...]:
        """The formats of dates beside ISO 8601."""
        return tuple(map(DateFormat, self.dates)) if isinstance(self.dates, tuple) else ()

    @cached_property
    def spelling(self) -> Spelling:
        """How values are written in its files."""
        return Spelling(
            nulls=self.nulls,
            decimal=self.decimal,
            thousands=self.thousands,
            currency=self.currency,
            percent=self.percent == "fraction",
            parentheses=self.negative == "parentheses",
            trailing=self.negative == "trailing",
            signs=self.signs == "any",
            dates=self.date_formats,
        )

    @property
    def says_points(self) -> bool:
        """Whether it says what points and commas in numbers mean."""
        return not self.model_fields_set.isdisjoint({"decimal", "thousands"})

    @cached_property
    def column_types(self) -> dict[str, str]:
        """SQL types of columns by their `comparable` names."""
        return {comparable(column): sql_type(text) for column, text in self.types.items()}

    @cached_property
    def csv_options(self) -> CsvOptions:
        """What the CSV reader is told."""
        return self.csv.options(apostrophe=self.compat == "aws")

    @cached_property
    def json_options(self) -> JsonOptions:
        """What the JSON reader is told."""
        return JsonOptions(
            explode=self.json_layout.explode,
            drop=JsonOptions().drop.union(self.json_layout.drop),
            not_finite=self.json_layout.nan in ("null", None),
            repeated_key=self.json_layout.repeated_key == "last",
        )

    @cached_property
    def excel_options(self) -> ExcelOptions:
        """What the Excel reader is told."""
        return self.excel.options()

    @cached_property
    def read_limits(self) -> Limits:
        """What the readers refuse."""
        return Limits(
            max_line_bytes=self.limits.max_line,
            max_expanded_bytes=self.limits.max_expanded,
            max_ratio=self.limits.max_ratio,
            max_columns=self.limits.max_columns,
        )
