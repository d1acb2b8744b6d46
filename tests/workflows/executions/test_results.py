from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from amci.kernel.run import RunStatus
from amci.workflows.executions import results

from ..conftest import Desk

LINK = "http://files.test/"


def having(desk: Desk, *files: bytes, metadata: tuple[bytes, ...] = ()) -> None:
    """AMC hands out these files as the result of whatever is asked."""
    named = {f"{LINK}{n}": content for n, content in enumerate((*files, *metadata))}

    def answer(_: str, url: str) -> Any:
        if url in named:
            return 200, {}, named[url]
        if url.endswith("/downloadUrls"):
            urls = list(named)
            body = {"downloadUrls": urls[: len(files)], "metadataDownloadUrls": urls[len(files) :]}
            return 200, {}, json.dumps(body).encode()
        return None

    desk.overlay = answer


def delivered(desk: Desk) -> tuple[Any, bytes]:
    run_id = desk.ask()
    desk.finish()
    run = desk.run(run_id)
    assert run.status is RunStatus.SUCCEEDED, run.reason
    return run, (desk.raw / run.result["key"]).read_bytes()


@pytest.mark.parametrize(
    ("files", "text", "rows"),
    [
        ([b"a,b\n1,2\n3,4\n"], b"a,b\n1,2\n3,4\n", 2),
        ([b"a,b\n1,2\n", b"a,b\n3,4\n", b"a,b\n"], b"a,b\n1,2\n3,4\n", 2),
        ([b"a,b\n1,2", b"a,b\n3,4"], b"a,b\n1,2\n3,4\n", 2),
        ([b"a,b\r\n1,2\r\n", b"a,b\n3,4\n"], b"a,b\n1,2\r\n3,4\n", 2),
        ([b"\xef\xbb\xbfa\n1\n", b"a\n2\n"], b"a\n1\n2\n", 2),
        ([gzip.compress(b"a\n1\n"), b"a\n2\n"], b"a\n1\n2\n", 2),
        ([b"", b"a\n1\n"], b"a\n1\n", 1),
        ([b"a,b\n"], b"a,b\n", 0),
        ([b'a\n"two\nlines"\n"a \\" quote\n"\nend\n'], b'a\n"two\nlines"\n"a \\" quote\n"\nend\n', 3),
    ],
    ids=["one", "three", "no-end", "crlf", "bom", "gzip", "empty", "header-only", "quoted"],
)
def test_the_files_of_a_result_become_one(desk: Desk, files: list[bytes], text: bytes, rows: int) -> None:
    having(desk, *files)
    run, content = delivered(desk)
    assert content == text
    assert run.result["rows"] == rows
    assert run.result["bytes"] == len(text)


@pytest.mark.parametrize(
    ("links", "rows"),
    [
        (["a.csv", "a.csv"], ["a"]),
        (["a.csv", "b.csv", "a.csv"], ["a", "b"]),
        (["a.csv?X-Amz-Signature=1", "a.csv?X-Amz-Signature=2&X-Amz-Date=3"], ["a"]),
        (["a.csv?Signature=1&Expires=2", "a.csv?Signature=3&Expires=4"], ["a"]),
        (["a.csv?X-Amz-Signature=1", "%61.csv?X-Amz-Signature=2"], ["a"]),
        (["a.csv", "HTTP://FILES.test:80/a.csv"], ["a"]),
        (["a.csv?versionId=1", "a.csv?versionId=2"], ["a", "a"]),
        (["x/a.csv", "y/a.csv"], ["a", "a"]),
        (["a.csv?part=1", "a.csv?part=2"], ["a", "a"]),
        (["empty", "a.csv", "empty", "b.csv"], ["a", "b"]),
    ],
)
def test_a_file_that_is_named_twice_has_its_rows_once(desk: Desk, links: list[str], rows: list[str]) -> None:
    fetched: list[str] = []

    def answer(_: str, url: str) -> Any:
        if url.startswith(LINK):
            fetched.append(url)
            name = url.partition("?")[0].rpartition("/")[2].partition(".")[0]
            return 200, {}, b"" if name == "empty" else f"v\n{name}\n".encode()
        if url.endswith("/downloadUrls"):
            body = {
                "downloadUrls": [link if "://" in link else f"{LINK}{link}" for link in links],
                "metadataDownloadUrls": [f"{LINK}m"] * 2,
            }
            return 200, {}, json.dumps(body).encode()
        return None

    desk.overlay = answer
    run, content = delivered(desk)
    assert content.decode() == "".join(f"{row}\n" for row in ["v", *rows])
    assert run.result["rows"] == len(rows)
    assert len(fetched) == len(rows) + links.count("empty") // 2 + 1
    assert sum(url == f"{LINK}m" for url in fetched) == 1


def test_files_with_different_columns_are_no_result(desk: Desk) -> None:
    having(desk, b"a,b\n1,2\n", b"a,c\n1,2\n")
    run_id = desk.ask()
    desk.finish()
    assert desk.run(run_id).status is RunStatus.FAILED
    assert "file 1 has the columns a,b, file 2 a,c" in desk.run(run_id).reason
    assert not list(desk.raw.rglob("*.*"))


def test_a_result_without_a_file_is_said_to_have_none(desk: Desk) -> None:
    having(desk)
    run_id = desk.ask()
    desk.finish()
    assert "names no file of its result" in desk.run(run_id).reason


def test_amcs_own_notes_are_kept_beside_the_result(desk: Desk) -> None:
    having(desk, b"a\n1\n", metadata=(b'{"sqlQuery": "SELECT 1"}', b"plain"))
    run, _ = delivered(desk)
    assert desk.note(run.result["key"])["metadata"] == ['{"sqlQuery": "SELECT 1"}', "plain"]


def test_a_result_larger_than_memory_may_take_is_the_same(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "_IN_MEMORY", 16)
    rows = b"".join(b"%d,%d\n" % (n, n) for n in range(5000))
    having(desk, b"a,b\n" + rows, b"a,b\n" + rows)
    run, content = delivered(desk)
    assert content == b"a,b\n" + rows + rows
    assert run.result["rows"] == 10_000


def test_keys_begin_with_the_tenant_in_a_root_of_its_own_too(desk: Desk, tmp_path: Path) -> None:
    tenant = desk.tenants["acme"].model_copy(update={"raw": "buckets/acme"})
    run_id = desk.ask()
    desk.finish()
    row, own = desk.row(run_id), tmp_path / "buckets" / "acme"
    found = results.deliver(desk.client(), own, tenant, row, {})
    assert found.key.startswith("acme/workflow=reach/schedule=adhoc/")
    assert (own / found.key.removeprefix("acme/")).exists()


def test_a_result_that_is_there_is_not_fetched_again(desk: Desk) -> None:
    run_id = desk.ask()
    desk.finish()
    path = desk.raw / desk.row(run_id).key
    before = path.stat().st_mtime_ns
    desk.asked.clear()
    again = results.deliver(desk.client(), desk.raw / "acme", desk.tenants["acme"], desk.row(run_id), {})
    assert (again.key, again.rows) == (desk.row(run_id).key, desk.row(run_id).rows)
    assert desk.asked == []
    assert path.stat().st_mtime_ns == before


def test_what_a_killed_download_left_is_removed(desk: Desk, tmp_path: Path) -> None:
    run_id = desk.ask()
    desk.finish()
    path = desk.raw / desk.row(run_id).key
    path.unlink()
    left = path.with_name(f".{path.name}.1-2.part")
    left.write_text("half")
    other = path.with_name(".other.csv.1-2.part")
    other.write_text("somebody else's")
    acme = desk.tenants["acme"]
    results.deliver(desk.client(), desk.raw / "acme", acme, desk.row(run_id), {}, was_killed=True)
    assert path.exists()
    assert not left.exists()
    assert other.exists()


def test_a_result_can_be_fetched_into_any_file(desk: Desk, tmp_path: Path) -> None:
    having(desk, b"a\n1\n")
    run_id = desk.ask()
    desk.finish()
    found = results.fetch_into(desk.client(), desk.row(run_id), tmp_path / "mine.csv")
    assert found.rows == 1
    assert (tmp_path / "mine.csv").read_bytes() == b"a\n1\n"
