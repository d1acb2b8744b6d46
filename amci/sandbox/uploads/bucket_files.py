"""The files that an upload names by key, prefix or manifest, in folders that stand for buckets (amc-api 2.5)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from amci.kernel.errors import DataError
from amci.kernel.files import bounded_bytes, storage_errors

_LONGEST_MANIFEST = 1_000_000  #: bytes
_LINE = re.compile(r"s3://([^/]+)/(.+)")
_HIDDEN = (".", "_")


class UploadFailed(DataError):
    """Ends an upload as FAILED; the text is its `message`."""


@dataclass(frozen=True, slots=True)
class BucketFile:
    """A file in a bucket."""

    key: str
    path: Path


@dataclass(frozen=True, slots=True)
class UploadFiles:
    """The files of an upload."""

    files: tuple[BucketFile, ...]
    skipped: int = 0  #: number of files under a prefix that AMC ignores


def files_named(buckets: Path, source: Mapping[str, str]) -> UploadFiles:
    """The files that a `dataSource` names; `buckets` has a folder for each bucket. Raises UploadFailed."""
    bucket = source["sourceS3Bucket"]
    root = _inside(buckets, bucket, f"s3://{bucket}")
    if not root.is_dir():
        raise UploadFailed(
            f"No such file or directory 's3://{bucket}'. The sandbox looks for buckets in {buckets}."
        )
    if prefix := source.get("sourceS3Prefix"):
        return _under(root, bucket, prefix)
    if manifest := source.get("sourceManifestS3Key"):
        return UploadFiles(_listed(buckets, _file(root, bucket, manifest)))
    return UploadFiles((_taken(_file(root, bucket, source["sourceFileS3Key"])),))


def _inside(root: Path, name: str, shown: str) -> Path:
    """A path below `root`: an upload cannot name any other file of this machine. Raises UploadFailed."""
    path = root / name
    if not path.resolve().is_relative_to(root.resolve()):
        raise UploadFailed(f"No such file or directory '{shown}'")
    return path


def _file(root: Path, bucket: str, key: str) -> BucketFile:
    shown = f"s3://{bucket}/{key}"
    path = _inside(root, key, shown)
    if not path.is_file():
        raise UploadFailed(f"No such file or directory '{shown}'")
    return BucketFile(key, path)


def _taken(file: BucketFile) -> BucketFile:
    if file.path.name.startswith(_HIDDEN):
        raise UploadFailed(f"{file.key}: the name of a file cannot start with a period or an underscore.")
    return file


def _under(root: Path, bucket: str, prefix: str) -> UploadFiles:
    with storage_errors("look into the bucket"):
        keys = sorted(each.relative_to(root).as_posix() for each in root.rglob("*") if each.is_file())
    matching = [_file(root, bucket, key) for key in keys if key.startswith(prefix)]
    files = tuple(file for file in matching if not file.path.name.startswith(_HIDDEN))
    if not files:
        raise UploadFailed(f"No files found under 's3://{bucket}/{prefix}'")
    return UploadFiles(files, len(matching) - len(files))


def _listed(buckets: Path, manifest: BucketFile) -> tuple[BucketFile, ...]:
    with storage_errors("read a manifest"):
        if manifest.path.stat().st_size > _LONGEST_MANIFEST:
            raise UploadFailed(f"{manifest.key}: a manifest has at most {_LONGEST_MANIFEST} bytes.")
        lines = bounded_bytes(manifest.path).decode("utf-8", "replace").splitlines()
    files, wrong = [], []
    for number, line in enumerate(map(str.strip, lines), start=1):
        parts = _LINE.fullmatch(line)
        if not line:
            continue
        if parts is None:
            wrong.append(f"{manifest.key}, line {number}: expected s3://bucket/key.")
            continue
        try:
            files.append(_taken(_file(_inside(buckets, parts[1], line), parts[1], parts[2])))
        except UploadFailed as error:
            wrong.append(f"{manifest.key}, line {number}: {error}")
    if wrong or not files:
        raise UploadFailed(" ".join(wrong) or f"{manifest.key}: the manifest names no files.")
    return tuple(files)
