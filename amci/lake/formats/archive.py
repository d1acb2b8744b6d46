"""ZIP archives: of files to load, or of the parts of an office document."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, cast

from amci.kernel.errors import MalformedFile
from amci.kernel.names import column_names
from amci.lake.formats.model import MIB, ColumnPath, Doubt, TextBatch, format_of
from amci.lake.formats.source import ByteSource

if TYPE_CHECKING:
    from amci.lake.formats.model import Limits

MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
#: So many files an archive may have.
_MOST_ENTRIES = 10_000
#: An entry that has to be read out of order is held in memory.
_MOST_HELD = 256 * MIB
_ENCRYPTED = 1  # bit of the flags (APPNOTE.TXT 4.4.4)
_LONGEST_NAME = 80
_NAMED = 5  #: of them, in a sentence
#: What people and programs put beside data, by the ends of names and by whole ones.
_NO_DATA = frozenset({
    ".pdf", ".doc", ".docx", ".rtf", ".odt", ".md", ".htm", ".html", ".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp",
    ".url", ".ini", ".md5", ".sha1", ".sha256", ".sig", ".asc",
})  # fmt: skip
_BESIDE = frozenset({"readme", "license", "licence", "thumbs", "manifest"})
#: What Python raises of damaged data, of a password and of a compression that it lacks.
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)


class Archive:
    """A ZIP archive, read entry by entry; nothing is unpacked to the disk, so a name in it leads nowhere."""

    def __init__(self, source: ByteSource) -> None:
        """Raise MalformedFile if it is damaged."""
        with _damage():
            self._zip = zipfile.ZipFile(source.seekable())

    @property
    def names(self) -> list[str]:
        """All names in it, in order."""
        return self._zip.namelist()

    def files(self, compressed: int, limits: Limits) -> list[zipfile.ZipInfo]:
        """The files to load: not those that macOS and others put beside them, whose names begin with a dot.

        `compressed` is the size of the archive. Raises MalformedFile if there are none or too many, if one is
        encrypted or has the name of another, and if they expand past a limit.
        """
        found = [each for each in self._zip.infolist() if not each.is_dir() and not _is_beside(each.filename)]
        if not found:
            raise MalformedFile("there is no file in the archive", hint="Send it again.")
        if len(found) > _MOST_ENTRIES:
            raise MalformedFile(
                f"it has more than {_MOST_ENTRIES} files in it", hint="Send several archives."
            )
        limits.check_expanded(sum(each.file_size for each in found), compressed)
        if any(each.flag_bits & _ENCRYPTED for each in found):
            raise MalformedFile("the archive is encrypted", hint="Send it without a password.")
        if len({each.filename for each in found}) < len(found):
            raise MalformedFile("two files in the archive have the same name", hint="Make the archive again.")
        return found

    def opened(self, entry: zipfile.ZipInfo, *, chunk_bytes: int) -> ByteSource:
        """A file in it, to be read in order."""
        file = _EntryFile(lambda: cast("BinaryIO", self._zip.open(entry)))
        return ByteSource(PurePosixPath(entry.filename), chunk_bytes=chunk_bytes, file=cast("BinaryIO", file))

    def held(self, entry: zipfile.ZipInfo, *, chunk_bytes: int) -> ByteSource:
        """A file in it, in memory, for readers that jump about; raises MalformedFile if it is too large for that."""
        if entry.file_size > _MOST_HELD:
            raise MalformedFile(f"it is larger than {_MOST_HELD} bytes", hint="Send it without an archive.")
        with _damage():
            file = io.BytesIO(self._zip.read(entry))
        return ByteSource(PurePosixPath(entry.filename), chunk_bytes=chunk_bytes, file=file)


def without_documents(
    files: list[zipfile.ZipInfo], *, is_guess: bool
) -> tuple[list[zipfile.ZipInfo], list[Doubt]]:
    """The files of an archive that are data by their names, and the doubt about the others; all, if none is.

    If the dataset does not say the format, files of text are data only if none has a name that promises it.
    """
    formats = {each.filename: format_of(PurePosixPath(each.filename).name) for each in files}
    documents = [each for each in files if not formats[each.filename] and _is_document(each.filename)]
    texts = [
        each
        for each in files
        if is_guess and any(formats.values()) and not formats[each.filename] and each not in documents
        if PurePosixPath(each.filename).suffix.lower() == ".txt"
    ]
    kept = [each for each in files if each not in documents and each not in texts]
    if not kept or len(kept) == len(files):
        return files, []
    names = ", ".join(shown(each.filename) for each in (*texts, *documents)[:_NAMED])
    return kept, [
        Doubt(
            kind="files",
            says=f"files in the archive were left out, because their names promise no data: {names}",
            hint="if they have rows, send them apart, in a dataset that says their format",
            is_refused=bool(texts),
        )
    ]


def _is_document(name: str) -> bool:
    path = PurePosixPath(name.lower())
    return path.suffix in _NO_DATA or path.stem in _BESIDE


class _EntryFile:
    """An entry as a file that can only go back to its beginning."""

    def __init__(self, opened: Callable[[], BinaryIO]) -> None:
        self._opened = opened
        self._file: BinaryIO | None = None

    def seek(self, _to: int) -> None:
        """Begin again."""
        self.close()

    def read(self, size: int) -> bytes:
        """So many bytes; less only at the end. Raises MalformedFile if they are damaged."""
        with _damage():
            if self._file is None:
                self._file = self._opened()
            return self._file.read(size)

    def close(self) -> None:
        """Let go of it."""
        if self._file is not None:
            self._file.close()
            self._file = None


class EntryNames:
    """The names of columns in all files of an archive: a header is one column, whatever stands beside it in each."""

    def __init__(self, reserved: frozenset[str], kept: frozenset[str]) -> None:
        """`reserved` and `kept` are as readers take them."""
        self._reserved, self._kept = reserved, kept
        #: by part: each header, of the second of two that are the same another one, and its name
        self._parts: dict[str, dict[tuple[ColumnPath, int], str]] = {}
        self.strange: list[str] = []  #: the files without a column of those before them
        self._entry = ""
        self._looked_at: set[str] = set()  #: its parts
        self._here: dict[tuple[str, str], str] = {}  #: what a column of the file at hand is called in all

    def renamed(self, batch: TextBatch, entry: str) -> TextBatch:
        """Rows of a file under the names that hold for all."""
        if entry != self._entry:
            self._entry, self._here, self._looked_at = entry, {}, set()
        known = self._parts.setdefault(batch.part, {})
        times: Counter[ColumnPath] = Counter()
        keys = []
        for path in batch.own_paths:
            times[path] += 1
            keys.append((path, times[path]))
        if known and batch.part not in self._looked_at and not any(key in known for key in keys):
            self.strange.append(shown(entry))
        self._looked_at.add(batch.part)
        if new := [key for key in keys if key not in known]:
            headers = [path for path, _ in (*known, *new)]
            names = column_names(headers, self._reserved, before=known.values(), kept=self._kept)
            known |= zip(new, names[len(known) :], strict=True)
        names = [known[key] for key in keys]
        columns = [(batch.part, name) for name in batch.data.schema.names]
        self._here |= zip(columns, names, strict=True)
        return replace(batch, data=batch.data.rename_columns(names), entry=entry)

    def of(self, column: tuple[str, str]) -> tuple[str, str]:
        """Part and name for those that the reader of the last file has given."""
        return column[0], self._here.get(column, column[1])


def shown(entry: str) -> str:
    """The name of a file in an archive as a sentence has it."""
    name = entry if len(entry) <= _LONGEST_NAME else f"…{entry[-_LONGEST_NAME:]}"
    return name if name.isprintable() else "a file in it"


@contextmanager
def naming(entry: str) -> Iterator[None]:
    """Put the name of a file in an archive before what is wrong with it."""
    try:
        yield
    except MalformedFile as error:
        named = MalformedFile(f"{shown(entry)}: {error}", hint=error.hint)
        named.line = error.line
        raise named from error


@contextmanager
def _damage() -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise MalformedFile(
            "the ZIP archive is damaged or cut off", hint="Send the whole file again."
        ) from error


def _is_beside(name: str) -> bool:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return "__MACOSX" in parts or any(part.startswith(".") and part not in (".", "..") for part in parts)
