"""What a file is by its first bytes, whatever it is called: a spreadsheet or a web page is no CSV."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from amci.kernel.errors import MalformedFile
from amci.kernel.files import json_of
from amci.lake.formats.model import FileFormat

_SAVE, _AGAIN, _UNPACK = "save it as CSV UTF-8", "download the report again", "unpack it"
#: First bytes → what the file is, and what to do with it. Offsets and values are those of the formats' specifications.
_BINARY: Mapping[bytes, tuple[str, str]] = {
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": ("an old Excel workbook or Word document", _SAVE),
    b"%PDF": ("a PDF document", "ask for the report as CSV"),
    b"SQLite format 3\0": ("a SQLite database", "export its tables as CSV or Parquet"),
    b"ORC": ("an ORC file", "write it as Parquet"),
    b"Obj\x01": ("an Avro file", "write it as Parquet"),
    b"7z\xbc\xaf\x27\x1c": ("a 7z archive", _UNPACK),
    b"Rar!\x1a\x07": ("a RAR archive", _UNPACK),
    b"BZh": ("compressed with bzip2", "compress it with gzip or zstd, or not at all"),
    b"\xfd7zXZ\0": ("compressed with xz", "compress it with gzip or zstd, or not at all"),
}
PARQUET = b"PAR1"
#: A name in an office document, which is a ZIP archive → what it is.
_OFFICE = {
    "xl/workbook.bin": "a binary Excel workbook",
    "word/": "a Word document",
    "content.xml": "an OpenDocument file",
}
_PAGE = re.compile(rb"<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE)
_XML = re.compile(rb"<\?xml\b|<[A-Za-z][\w:.-]*(?:\s+xmlns|>|\s*/>)")
_XML_ERROR = re.compile(rb"<Error(?:Response)?\b.*?<Code>(\w{1,60})</Code>", re.DOTALL)
#: The fields of an answer in which Amazon's APIs say that something went wrong.
_FAULT_FIELDS = frozenset({"code", "details", "error", "error_description", "errors", "message", "requestid"})
_FAULTS = ({"errors"}, {"code", "details"}, {"code", "message"}, {"error", "error_description"}, {"message"})


@dataclass(frozen=True, slots=True)
class Kind:
    """Something that a file is, if it is not what was expected."""

    name: str  #: with its article
    hint: str

    def refused(self) -> MalformedFile:
        """The error that says so."""
        return MalformedFile(
            f"this is {self.name}", line=None, hint=f"{self.hint[:1].upper()}{self.hint[1:]}."
        )


def format_by_content(head: bytes) -> FileFormat | None:
    """The format that the first bytes show beyond doubt; None if they may be anything."""
    return FileFormat.PARQUET if head.startswith(PARQUET) else None


def document(names: Collection[str]) -> Kind | FileFormat | None:
    """What a ZIP archive with such names in it is, if its files are parts of one document."""
    for part, name in _OFFICE.items():
        if any(each.startswith(part) for each in names):
            return Kind(name, _SAVE)
    return FileFormat.EXCEL if "xl/workbook.xml" in names else None


def other_kind(head: bytes, expected: FileFormat, *, is_whole: bool) -> Kind | None:
    """What the file is, if its first bytes show that it is not of the expected format; None if it may be.

    `head` is expanded, and `is_whole` says whether it is the whole file.
    """
    if head.startswith(PARQUET):
        return None if expected is FileFormat.PARQUET else Kind("a Parquet file", "set `format: parquet`")
    for magic, (name, hint) in _BINARY.items():
        if head.startswith(magic) and (not magic.isalnum() or b"\0" in head):
            return Kind(name, hint)
    if expected is FileFormat.PARQUET:
        return None
    if expected is FileFormat.EXCEL:
        return _text_kind(head, expected, is_whole=is_whole) or Kind(
            "no Excel workbook", f"if it is text, set `format: csv`; else {_AGAIN}"
        )
    return _text_kind(head, expected, is_whole=is_whole)


def _text_kind(head: bytes, expected: FileFormat, *, is_whole: bool) -> Kind | None:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"<"):
        if _PAGE.match(text) or (_XML.match(text) and _PAGE.search(text[:1000])):
            return Kind("a web page, perhaps one that says what went wrong", _AGAIN)
        if error := _XML_ERROR.search(text):
            return Kind(f"an error answer ({error[1].decode()}), not a report", _AGAIN)
        if _XML.match(text) and (text.startswith(b"<?") or b"</" in text):
            return Kind("XML", "ask for the report as CSV or JSON")
    if text.startswith((b"{", b"[")):
        if is_whole and _is_fault(text):
            return Kind("an error answer, not a report", f"{_AGAIN}; if it is a row, write it inside a list")
        if expected is FileFormat.CSV and _is_json(text):
            return Kind("JSON", "set `format: json`")
    return None


def _is_json(text: bytes) -> bool:
    """Whether it begins as JSON does; a CSV header could begin with a bracket, but goes on otherwise."""
    return bool(re.match(rb"\{\s*(?:\"|\}|\Z)|\[\s*(?:[\[{\"\]]|-?\d|\Z)", text))


def _is_fault(text: bytes) -> bool:
    try:
        document = json_of(text)
    except ValueError:
        return False
    if not isinstance(document, dict):
        return False
    fields = {str(field).lower() for field in document}
    return fields <= _FAULT_FIELDS and any(wanted <= fields for wanted in _FAULTS)
