"""What a rule of `pii:` protects stays in raw/, however a file spells the column and whatever is wrong with it.

Each case is a file with a value of its own, a canary. All are loaded together, and then everything in the workspace
but raw/ is searched for them.
"""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from amci.kernel.names import column_names
from amci.lake.datasets.pii import PiiHash, hashed

from ...conftest import not_yet

#: Datasets by their rules.
RULES = {
    "mails": "{email: {hash: email}}",
    "users": "{user_email: {hash: email}}",
    "dotted": "{user.email: {hash: email}}",
    "ssns": "{ssn: drop}",
    "japanese": "{メール: {hash: plain}}",
    "maybe": "{email: {hash: email, optional: true}}",
    "tabs": "{email: drop}",
    "parts": "{email: {hash: email}}",
}
#: Names that are the column's, and names that are near it only.
SPELLED = {
    "mails": (
        *(
            "email",
            "Email",
            "EMAIL",
            " email ",
            "e-mail",
            "E-Mail",
            "e_mail",
            "E Mail",
            "e.mail",
            "eMail",
            "e–mail",
        ),
        *(
            "e\u2011mail",
            "ｅ－ｍａｉｌ",
            "e\u200bmail",
            "\ufeffemail",
            "email\u00a0",
            "ema\u00adil",
            "émail",
            "EMAİL",
        ),
        *(
            "email_2",
            "email2",
            "email.1",
            "user.email",
            "[email]",
            "email:",
            "email*",
            "e\u2060mail",
            "📧 email",
        ),
    ),
    "users": (
        *("user_email", "userEmail", "UserEmail", "User E-Mail", "user.email", "USER-EMAIL", "user__email"),
        *("User Email ", "user/email", "userEMail"),
    ),
    "dotted": ("user.email", "userEmail", "user_email", "User E-Mail", "order.user.email"),
    "ssns": ("ssn", "SSN", "SSN ", "S.S.N.", "ssn#", "\tssn"),
    "japanese": ("メール", "ﾒｰﾙ", " メール ", "メ ー ル"),
}
STRANGE = {
    "mails": (
        "email_address",
        "customer_email",
        "mail",
        "Electronic mail",
        "E-Mail (primary)",
        "contact",
        "emial",
        "",
    ),
    "users": ("email", "user", "customer_email"),
    "ssns": ("social_security_number", "SSN_last4", "国民番号"),
    "japanese": ("電話", "email"),
}


Files = Callable[[str], dict[str, bytes]]


@dataclass(frozen=True)
class Case:
    """A file and what has to become of it."""

    dataset: str
    name: str
    content: bytes
    canary: str
    outcome: str  #: loaded, quarantined, or either

    @property
    def key(self) -> str:
        return f"adtech/{self.dataset}/t{self.name.partition('.')[0]}/{self.name}"


def parquet(value: Any, kind: pa.DataType | None = None, name: str = "email") -> bytes:
    out = io.BytesIO()
    columns = {name: pa.array([value, None], kind), "clicks": pa.array([1, 2])}
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


def table_of(name: str, value: str, more: str = "clicks") -> dict[str, bytes]:
    """One row with a column of that name, in every format."""
    row = {name: value, more: "1"}
    cells = ",".join('"' + cell.replace('"', '""') + '"' for cell in row)
    text = f"{cells}\n{value},1\n,2\n"
    return {
        "csv": text.encode(),
        "csv.gz": gzip.compress(text.encode()),
        "csv.zst": pa.compress(text.encode(), "zstd", asbytes=True),
        "json": json.dumps([row]).encode(),
        "ndjson": f"{json.dumps(row, ensure_ascii=False)}\n{{}}\n".encode(),
        "parquet": parquet(value, name=name),
    }


def nested(value: str) -> dict[str, bytes]:
    """The column inside others, in the forms that readers know, for a rule about `email`."""
    user = {"email": value, "clicks": 1}
    quoted = json.dumps(user).replace('"', '""')
    struct = pa.struct([("email", pa.string()), ("clicks", pa.int64())])
    return {
        "object.json": json.dumps([{"user": user}]).encode(),
        "deep.json": json.dumps([{"a": {"user": {"E-Mail": value}}}]).encode(),
        "list.json": json.dumps([{"users": [user, {"email": None}]}]).encode(),
        "lists.json": json.dumps([{"a": [[{"users": [{"Email": [value]}]}]]}]).encode(),
        "under.json": json.dumps([{"email": {"value": value}}]).encode(),
        "undermany.json": json.dumps([{"email": [{"value": value}]}]).encode(),
        "text.json": json.dumps([{"payload": json.dumps(user)}]).encode(),
        "texts.json": json.dumps([{"a": [{"payload": json.dumps(user)}]}]).encode(),
        "late.ndjson": b'{"a": 1}\n' * 3 + json.dumps({"a": 1, "e-mail": value}).encode(),
        "cell.csv": f'id,payload\n1,"{quoted}"\n'.encode(),
        "half.csv": f'id,payload\n1,"{quoted[:-1]}, ""x"": ""\\ud800""}}"\n'.encode(),
        "halves.csv": f'id,payload\n1,"{{""email"": ""\\ud800{value}""}}"\n'.encode(),
        "dotted.csv": f"id,user.email\n1,{value}\n".encode(),
        "struct.parquet": parquet(user, struct, "user"),
        "list.parquet": parquet([user], pa.list_(struct), "users"),
        "large.parquet": parquet([user], pa.large_list(struct), "users"),
        "map.parquet": parquet([("email", value)], pa.map_(pa.string(), pa.string()), "user"),
        "maps.parquet": parquet([("x", user)], pa.map_(pa.string(), struct), "user"),
        "inner.parquet": parquet({"user": user}, pa.struct([("user", struct)]), "a"),
        "words.parquet": parquet(value, pa.dictionary(pa.int32(), pa.string())),
        "bytes.parquet": parquet(value, pa.binary()),
    }


def broken(value: str) -> dict[str, bytes]:
    """Files that cannot be read, or not wholly, or have no header."""
    good = f"email,clicks\n{value},1\n".encode()
    return {
        "headerless.csv": f"{value},7\nb{value},8\n".encode(),
        "quoted.csv": f'"{value}","7"\n"b{value}","8"\n'.encode(),
        "headerless.tsv.csv": f"{value}\t7\nb{value}\t8\n".encode(),
        "other.csv": b"Canary,Street 7\nx," + value.encode() + b"\n",
        "alone.csv": f"{value}\n".encode(),
        "semicolon.csv": f"email;clicks\n{value};1\n".encode(),
        "separator.csv": f"sep=,\nemail,clicks\n{value},1\n".encode(),
        "preamble.csv": f"Report for,{value}\nemail,clicks\n{value},1\n".encode(),
        "codepage.csv": "メール,値\n".encode("cp932") + f"{value},1\n".encode(),
        "utf16.csv": good.decode().encode("utf-16"),
        "unmarked.csv": good.decode().encode("utf-16-le"),
        "twice.csv": f"email,E-Mail,email\n{value},{value},{value}\n".encode(),
        "book.xlsx": b"PK\x03\x04" + good,
        "archive.zip": b"PK\x03\x04" + good,
        "onecolumn.csv": f"{value}\nb{value}\n".encode(),
        "more.csv": good + f"{value},1,{value}\n".encode(),
        "fewer.csv": good + f"{value}\n".encode(),
        "encoding.csv": b"\xef\xbb\xbf" + good + value.encode() + b"\xff,1\n",
        "nul.csv": good + value.encode() + b"\0,1\n",
        "unclosed.csv": good + b'"' + value.encode() + b",1\n",
        "huge.csv": good + value.encode() * 9_000 + b",1\n",
        "lines.csv": f'email,clicks\n"x\n{value}\n",1\n'.encode(),
        "cut.csv.gz": gzip.compress(good * 50)[:-9],
        "no.csv.gz": good,
        "cut.json": f'[{{"email": "{value}"}}, {{"email": "{value}'.encode(),
        "mistaken.json": f'[{{"email": "{value}"}}, {value}]'.encode(),
        "rows.json": f'[["{value}"]]'.encode(),
        "text.json": f'"{value}"'.encode(),
        "huge.ndjson": f'{{"email": "{value * 9_000}"}}'.encode(),
        "keys.json": json.dumps([{"email": "x", value: 1}]).encode(),
        "inner.json": json.dumps([{"email": "x", "by": {value: 1}}]).encode(),
        "surrogate.json": b'[{"email": "\\ud800 ' + value.encode() + b'"}]',
        "text.parquet": good,
        "cut.parquet": parquet(value)[:-9],
        "bytes.parquet": parquet(value.encode() + b"\xff", pa.binary()),
    }


#: What becomes of them.
OUTCOMES = dict.fromkeys(broken("x"), "quarantined") | {
    "alone.csv": "skipped",
    **dict.fromkeys(("lines.csv", "utf16.csv", "twice.csv", "semicolon.csv", "separator.csv"), "loaded"),
}
#: Files that a dataset takes if its column is optional: nothing tells that the column has another name in them.
UNSEEN = {"other.csv", "codepage.csv"}


def parts(value: str) -> dict[str, bytes]:
    """Exploded JSON, where the column is in one of the tables."""
    buyer = {"E-Mail": value, "clicks": 1}
    return {
        "one.json": json.dumps({"buyers": [buyer], "orders": [{"id": 1}]}).encode(),
        "both.json": json.dumps({"buyers": [buyer], "orders": [{"buyer": buyer}]}).encode(),
        "inside.json": json.dumps({"orders": [{"id": 1, "buyers": [buyer]}]}).encode(),
        "above.json": json.dumps({"email": [{"value": value}], "orders": [{"id": 1}]}).encode(),
        "named.json": json.dumps({value: [{"email": "x"}]}).encode(),
    }


def containers(value: str) -> dict[str, bytes]:
    """Files with files or sheets in them; all of them need the column."""
    mails = f"email,clicks\n{value},1\n"
    made, book = openpyxl.Workbook(), io.BytesIO()
    for row in (["E-Mail", "clicks"], [value, 1]):
        made.active.append(row)
    made.save(book)
    return {
        "both.zip": zipped(a=mails, b=mails.replace("email", "E-Mail"), c=mails),
        "first.zip": zipped(a=mails.replace("email", "contact"), b=mails),
        "second.zip": zipped(a=mails, b=mails.replace("email", "contact")),
        "json.zip": zipped(a=json.dumps([{"email": "x"}]), b=json.dumps([{"contact": value}])),
        "book.xlsx": book.getvalue(),
    }


def zipped(**texts: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, text in texts.items():
            file.writestr(f"{name}.{'json' if text.startswith('[') else 'csv'}", text)
    return out.getvalue()


def one(files: Files, ending: str, value: str) -> dict[str, bytes]:
    """One of the files, which has a value of its own."""
    return {ending: files(value)[ending]}


def wanted() -> Iterator[tuple[str, str, Files]]:
    """Dataset, outcome and what makes the files."""
    for outcome, spelled in (("loaded", SPELLED), ("quarantined", STRANGE)):
        for dataset, names in spelled.items():
            yield from ((dataset, outcome, partial(table_of, name)) for name in names)
    for ending in nested("x"):
        yield "mails", "loaded", partial(one, nested, ending)
    for ending in parts("x"):
        yield "parts", "quarantined" if ending == "named.json" else "loaded", partial(one, parts, ending)
    for ending in containers("x"):
        outcome = "loaded" if ending in ("both.zip", "book.xlsx") else "quarantined"
        yield "mails", outcome, partial(one, containers, ending)
    yield "tabs", "loaded", lambda value: {"tabs.csv": f"clicks\tE-Mail\n1\t{value}\n".encode()}
    yield "tabs", "quarantined", lambda value: {"none.csv": f"1\t{value}\n1\t{value}\n".encode()}
    for ending, outcome in OUTCOMES.items():
        yield "mails", outcome, partial(one, broken, ending)
        if ending not in UNSEEN:
            yield "maybe", outcome, partial(one, broken, ending)


def cases() -> Iterator[Case]:
    for number, (dataset, outcome, files) in enumerate(wanted(), start=1000):
        canary = f"canary{number}x"
        for ending, content in files(f"{canary}@example.com").items():
            yield Case(dataset, f"{number}.{ending}", content, canary, outcome)


CASES = list(cases())


def everything(home: Path) -> str:
    """What stands anywhere in a workspace but below raw/, in lower case; Parquet is unpacked."""
    texts = []
    for path in home.rglob("*"):
        if path.is_file() and path.relative_to(home).parts[0] not in {"raw", "config"}:
            texts += [str(path), path.read_bytes().decode("utf-8", "replace")]
            if path.suffix == ".parquet":
                table = pq.read_table(path)
                texts += [*table.column_names, str(table.to_pydict())]
    return "\n".join(texts).lower()


@dataclass(frozen=True)
class Loaded:
    text: str
    quarantined: dict[str, str]
    ledger: set[str]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory, site_of: Any) -> Loaded:
    site = site_of(tmp_path_factory.mktemp("privacy"))
    for dataset, rules in RULES.items():
        more = {"tabs": {"csv": '{delimiter: "\\t"}'}, "parts": {"json": "{explode: true}"}}.get(dataset, {})
        site.dataset(dataset, pii=rules, limits="{max_line: 64KiB}", duplicates="allow", **more)
    for case in CASES:
        site.put(case.key, case.content)
    site.drain()
    return Loaded(everything(site.workspace.home), site.quarantined(), {key for key, *_ in site.ledger()})


@pytest.mark.spread(3)
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.dataset}-{case.name}")
def test_no_value_leaves_raw(lake: Loaded, case: Case) -> None:
    assert case.canary not in lake.text


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.dataset}-{case.name}")
def test_a_file_is_loaded_or_says_why_it_is_not(lake: Loaded, case: Case) -> None:
    outcome = (
        "loaded" if case.key in lake.ledger else "quarantined" if case.key in lake.quarantined else "skipped"
    )
    assert outcome == case.outcome, lake.quarantined.get(case.key)


HASH = "{email: {hash: email}}"
PHONE = "{email: {hash: email}, phone: {hash: phone, optional: true}}"
SSN = "{email: {hash: email}, ssn: {drop: true, optional: true}}"
MAIL = "someone@example.com"
HASHED = hashed(MAIL, PiiHash(hash="email"), None)


def reason(site: Any, content: str, *, pii: str = HASH, key: str = "adtech/own/t/1.csv") -> str:
    """Why a file is in quarantine."""
    site.dataset("own", pii=pii)
    site.put(key, content)
    site.drain()
    said: str = site.quarantined()[key]
    return said


def hint(site: Any) -> str:
    ((said,),) = site.state("SELECT hint FROM quarantine WHERE resolved_at IS NULL")
    return str(said)


def test_a_missing_column_is_named_with_the_columns_there_are_and_the_nearest(site: Any) -> None:
    said = reason(site, f"order_id,customer_email,City\n1,{MAIL},Berlin\n")
    assert said == "pii: no column email in the file; it has 3 columns: order_id, customer_email, city"
    assert "did you mean 'customer_email'?" in hint(site)
    assert "optional: true" in hint(site)


def test_a_misspelled_column_is_the_nearest_if_the_others_are_names(site: Any) -> None:
    reason(site, f"order_id,emial,city\n1,{MAIL},Berlin\n")
    assert "did you mean 'emial'?" in hint(site)


@pytest.mark.parametrize(
    "header",
    [
        "Emil,Smith,7",
        "Bill Home,Street 7,1",
        "2026-11-01,London,12.50",
        "+1 206 555 0100,Ann,Main Street 42",
        "Mail,qqq,zzz",
    ],
)
def test_cells_of_a_file_without_a_header_are_counted_and_not_shown(site: Any, header: str) -> None:
    said = reason(site, f"{header}\na,b,c\n")
    assert said.startswith("pii: no column email in the file; it has 3 columns")
    for cell in header.lower().split(","):
        assert cell == "mail" or cell not in (said + hint(site)).lower().replace("such as", "")


def test_columns_that_the_lake_has_are_shown_with_an_unknown_name(site: Any) -> None:
    site.dataset("own", pii=HASH)
    site.put("adtech/own/t/0.csv", f"email,bracelets\n{MAIL},1\n")
    site.drain()
    said = reason(site, f"bracelets,necklaces\n1,{MAIL}\n")
    assert said == "pii: no column email in the file; it has 2 columns: bracelets and 1 more"


@pytest.mark.parametrize("rule", ["{hash: email, optional: true}", "{drop: true, optional: true}", "public"])
def test_a_file_may_lack_an_optional_column(site: Any, rule: str) -> None:
    site.dataset("own", pii=f"{{email: {rule}}}")
    site.put("adtech/own/t/1.csv", "clicks,city\n1,Berlin\n")
    site.drain()
    assert site.query("SELECT clicks, city FROM adtech_own.t") == [(1, "Berlin")]


@pytest.mark.parametrize(
    ("header", "is_refused"),
    [
        ("Ann,7", True),
        ("Ann,12.50", True),
        ("region,2025", False),
        ("region,2026-11-01", False),
        ("a,b", False),
    ],
)
def test_numbers_in_place_of_all_names_are_a_row_of_data(site: Any, header: str, is_refused: bool) -> None:
    site.dataset("own", pii="{email: {hash: email, optional: true}}")
    site.put("adtech/own/t/1.csv", f"{header}\nx,1\n")
    site.drain()
    assert [reason.startswith("pii: the names") for reason in site.quarantined().values()] == [
        True
    ] * is_refused


@pytest.mark.parametrize(
    ("rule", "row"),
    [
        ("drop", {"clicks": 1}),
        ("{drop: true}", {"clicks": 1}),
        ("{drop: true, optional: true}", {"clicks": 1}),
        ("{hash: email, optional: true}", {"e_mail": HASHED, "clicks": 1}),
        ("public", {"e_mail": MAIL, "clicks": 1}),
    ],
)
def test_a_column_that_is_there_is_protected_as_its_rule_says(
    site: Any, rule: str, row: dict[str, Any]
) -> None:
    site.dataset("own", pii=f"{{email: {rule}}}")
    site.put("adtech/own/t/1.csv", f"E-Mail,clicks\n{MAIL},1\n")
    site.drain()
    assert site.query(f"SELECT {', '.join(row)} FROM adtech_own.t") == [tuple(row.values())]
    assert ("e_mail" in row) == bool(
        site.query("SELECT 1 FROM duckdb_columns() WHERE column_name = 'e_mail'")
    )


@pytest.mark.parametrize(
    ("content", "outcome"),
    [("", "no data rows"), ("clicks\n", "no data rows"), (f"{MAIL}\n", "no data rows")],
)
def test_a_file_without_rows_is_skipped_as_ever(site: Any, content: str, outcome: str) -> None:
    site.dataset("own", pii=HASH)
    site.put("adtech/own/t/1.csv", content)
    site.drain()
    assert site.quarantined() == {}
    assert [run.reason for run in site.runs()] == [outcome]


def test_a_column_may_be_in_one_of_the_tables_of_a_file(site: Any) -> None:
    site.dataset("own", pii=HASH, json="{explode: true}")
    site.put("adtech/own/t/1.json", json.dumps({"buyers": [{"email": MAIL}], "orders": [{"id": 1}]}))
    site.put("adtech/own/t/2.json", json.dumps({"buyers": [{"name": MAIL}], "orders": [{"id": 1}]}))
    site.drain()
    assert site.query("SELECT email FROM adtech_own.t_buyers") == [(HASHED,)]
    assert list(site.quarantined()) == ["adtech/own/t/2.json"]


def test_a_sound_file_takes_the_rows_of_one_that_was_refused(site: Any) -> None:
    reason(site, f"mail\n{MAIL}\n")
    site.put("adtech/own/t/1.csv", f"E-Mail\n{MAIL}\n")
    site.drain()
    assert site.quarantined() == {}
    assert site.query("SELECT e_mail FROM adtech_own.t") == [(HASHED,)]


def test_nothing_of_a_refused_file_stays_in_pre_stage(site: Any) -> None:
    """Also of one that is long enough to be written while it is read."""
    rows = "".join(f'{{"mail": "{MAIL}", "n": {n}, "text": "{"x" * 1000}"}}\n' for n in range(20_000))
    reason(site, rows, key="adtech/own/t/1.json")
    assert [path for path in site.workspace.pre_stage.rglob("*") if path.is_file()] == []


def test_nothing_of_a_file_whose_light_transform_fails_stays_in_pre_stage(site: Any) -> None:
    site.transform("fails.sql", "SELECT error(email) FROM rows")
    site.dataset("own", pii=HASH, light="fails")
    site.put("adtech/own/t/1.csv", "email,text\n" + f"{MAIL},{'x' * 1000}\n" * 10_000)
    site.drain()
    assert list(site.quarantined()) == ["adtech/own/t/1.csv"]
    assert [path for path in site.workspace.pre_stage.rglob("*") if path.is_file()] == []


# Light transforms: the rules come first, and once more for what the transform gives.


def test_a_transform_that_renames_or_leaves_out_the_column_gets_it_protected(site: Any) -> None:
    site.transform("renamed.sql", "SELECT e_mail AS contact, upper(e_mail) AS shown, clicks FROM rows")
    site.transform("without.sql", "SELECT clicks FROM rows")
    site.dataset("renamed", pii=HASH, light="renamed")
    site.dataset("without", pii=HASH, light="without")
    for name in ("renamed", "without"):
        site.put(f"adtech/{name}/t/1.csv", f"E-Mail,clicks\n{MAIL},1\n")
    site.drain()
    assert site.query("SELECT contact, lower(shown) FROM adtech_renamed.t") == [(HASHED, HASHED)]
    assert site.query("SELECT * EXCLUDE (_object_id, _version) FROM adtech_without.t") == [(1,)]


def test_a_column_that_only_the_transform_names_is_protected_but_has_to_be_optional(site: Any) -> None:
    site.transform("named.sql", 'SELECT who AS "User E-Mail", clicks FROM rows')
    site.dataset("strict", pii="{user_email: {hash: email}}", light="named")
    site.dataset("loose", pii="{user_email: {hash: email, optional: true}}", light="named")
    for name in ("strict", "loose"):
        site.put(f"adtech/{name}/t/1.csv", f"who,clicks\n{MAIL},1\n")
    site.drain()
    assert list(site.quarantined()) == ["adtech/strict/t/1.csv"]
    assert site.query("SELECT user_e_mail FROM adtech_loose.t") == [(HASHED,)]
    assert MAIL not in everything(site.workspace.home)


def test_a_hash_is_the_same_after_a_transform_as_without_one(site: Any) -> None:
    site.transform("same.sql", "SELECT * FROM rows")
    site.dataset("own", pii="{email: {hash: email}, phone: {hash: phone}, a: {hash: plain}}", light="same")
    site.put("adtech/own/t/1.csv", f"email,phone,a\n{MAIL},+1 206 555 0100,x\n")
    site.drain()
    wanted = (
        HASHED,
        hashed("12065550100", PiiHash(hash="plain"), None),
        hashed("x", PiiHash(hash="plain"), None),
    )
    assert site.query("SELECT email, phone, a FROM adtech_own.t") == [wanted]


# What goes wrong after the rules: no error, run or log line has a value.

FAULTS = {
    "cast.sql": "SELECT CAST(email AS INTEGER) AS n, payload FROM rows",
    "error.sql": "SELECT error(email || payload) FROM rows",
    "binder.sql": "SELECT nowhere, email FROM rows",
    "raised.py": "def raised(rows):\n    raise ValueError(rows.fetchall())\n",
    "key.py": "def key(rows):\n    return {}[rows.fetchall()[0][0]]\n",
}


@pytest.mark.parametrize("stage", ["light", "heavy"])
def test_no_failure_of_a_transform_tells_a_value(site: Any, stage: str) -> None:
    for file, text in FAULTS.items():
        name = file.partition(".")[0]
        site.transform(file, text)
        site.dataset(name, pii=HASH, **{stage: name})
        payload = json.dumps({"email": MAIL}).replace('"', '""')
        site.put(f"adtech/{name}/t/1.csv", f'email,payload\n{MAIL},"{payload}"\n')
    site.dataset(
        "rules",
        pii=HASH,
        quality="[{accepted_values: {column: email, values: [x]}, on_fail: quarantine_rows}]",
    )
    site.put("adtech/rules/t/1.csv", f"email\n{MAIL}\n")
    site.dataset(
        "strict",
        pii=HASH,
        quality="[{sql: SELECT * FROM rows WHERE CAST(email AS INTEGER) > 1, name: x, on_fail: fail}]",
    )
    site.put("adtech/strict/t/1.csv", f"email\n{MAIL}\n")
    site.drain()
    assert len(site.quarantined()) == len(FAULTS) + 2
    assert "someone" not in everything(site.workspace.home)


# Personal values in columns without a rule are told.


def notes(site: Any) -> list[tuple[str, int]]:
    return [(note["rule"], note["rows"]) for run in site.runs(kind="heavy") for note in run.result["quality"]]


@pytest.mark.parametrize(
    ("pii", "column", "found"),
    [
        (HASH, ["see a.b@example.org", "", "x@y", "@someone"], [("e-mail addresses", 1)]),
        (HASH, ["+1 206 555 0100", "123-45-6789"], []),
        (PHONE, ["+1 206 555 0100", "(206) 555-0100"], [("phone numbers", 2)]),
        (PHONE, ["2026-11-01", "12065550100", "111-1234567-1234567", "1 234 567", "3.14"], []),
        (SSN, ["123-45-6789", "123456789"], [("social security numbers", 1)]),
        ("{email: {hash: email}, note: public}", ["a.b@example.org"], []),
    ],
)
def test_personal_values_in_a_column_without_a_rule_are_told(
    site: Any, pii: str, column: list[str], found: list[tuple[str, int]]
) -> None:
    site.dataset("own", pii=pii)
    site.put("adtech/own/t/1.csv", "email,note\n" + "".join(f"{MAIL},{value}\n" for value in column))
    site.drain()
    assert notes(site) == [(f"pii: column note has no rule and holds {form}", rows) for form, rows in found]
    assert len(site.query("SELECT note FROM adtech_own.t")) == len(column)


def test_a_value_far_down_in_a_file_is_told(site: Any) -> None:
    site.dataset("own", pii=HASH)
    site.put("adtech/own/t/1.csv", "email,note\n" + f"{MAIL},x\n" * 20_000 + f"{MAIL},{MAIL}\n" * 1_000)
    site.drain()
    ((rule, count),) = notes(site)
    assert rule == "pii: column note has no rule and holds e-mail addresses"
    assert 0 < count < 1_000


def test_what_a_transform_leaves_out_is_not_told(site: Any) -> None:
    site.transform("without.sql", "SELECT * EXCLUDE (note) FROM rows")
    site.dataset("own", pii=HASH, light="without")
    site.put("adtech/own/t/1.csv", f"email,note\n{MAIL},{MAIL}\n")
    site.drain()
    assert notes(site) == []


# What was staged under other rules is protected before it is loaded again.


def staged_then_gone(
    site: Any, files: dict[str, str | bytes], *, before: str = "{}", after: str = HASH
) -> dict[str, Any]:
    """Load files, delete them, and load them again from pre-stage, under other rules."""
    site.dataset("own", pii=before)
    paths = [site.put(f"adtech/own/t/{name}", content) for name, content in files.items()]
    site.drain()
    for path in paths:
        path.unlink()
    site.dataset("own", pii=after)
    report: dict[str, Any] = site.reprocess(changed_only=True)
    return report


def test_rows_of_pre_stage_are_protected_by_todays_rules(site: Any) -> None:
    files = {f"{n}.csv": f"E-Mail,clicks\n{n}{MAIL},{n}\n" for n in range(3)}
    long = "e-mail,clicks,text\n" + f"3{MAIL},3,{'x' * 1000}\n" * 10_000
    assert staged_then_gone(site, {**files, "3.csv": long})["from_pre_stage"] == 4
    wanted = [
        (n, hashed(f"{n}{MAIL}", PiiHash(hash="email"), None), 10_000 if n == 3 else 1) for n in range(4)
    ]
    assert site.query("SELECT clicks, e_mail, count(*) FROM adtech_own.t GROUP BY ALL ORDER BY 1") == wanted


def test_a_hash_in_pre_stage_stays_and_a_column_may_be_dropped(site: Any) -> None:
    report = staged_then_gone(
        site,
        {"1.csv": f"email,ssn,メール\n{MAIL},123-45-6789,{MAIL}\n"},
        before=HASH,
        after="{email: {hash: email}, ssn: drop, メール: {hash: email}}",
    )
    assert report["from_pre_stage"] == 1
    (mail,) = column_names(["メール"])
    assert site.query(f"SELECT email, ssn, {mail} FROM adtech_own.t") == [(HASHED, None, HASHED)]


def test_rows_without_any_column_left_leave_the_lake(site: Any) -> None:
    staged_then_gone(site, {"1.csv": f"email\n{MAIL}\n"}, after="{email: drop}")
    assert site.query("SELECT * FROM adtech_own.t") == []


def test_what_cannot_be_protected_is_not_loaded_again(site: Any) -> None:
    report = staged_then_gone(
        site, {"1.json": json.dumps({"hashed": "x", "0" * 64: "y"})}, after="{hashed: {hash: plain}}"
    )
    assert report["impossible"] == ("adtech/own/t/1.json",)


# A load that reads nothing anew leaves an object to `reprocess --changed` if other rules read it.


def test_rows_that_get_other_types_are_read_by_todays_rules_later(site: Any) -> None:
    site.dataset("own")
    site.put("adtech/own/t/1.csv", f"email,n\n{MAIL},1\n")
    site.drain()
    site.dataset("own", pii=HASH)
    # A word makes the column text, so that rows that were loaded before get their types again.
    site.put("adtech/own/t/2.csv", f"email,n\n{MAIL},abc\n")
    site.drain()
    assert site.reprocess(changed_only=True)["from_raw"] == 1
    assert site.query("SELECT DISTINCT email FROM adtech_own.t") == [(HASHED,)]
    assert site.query("SELECT count(DISTINCT rules_hash) FROM amci.objects") == [(1,)]


def test_a_failed_load_that_is_redriven_is_read_by_todays_rules_later(site: Any) -> None:
    site.transform("all.sql", "SELECT nothing FROM rows")
    site.dataset("own", heavy="all")
    site.put("adtech/own/t/1.csv", f"email\n{MAIL}\n")
    site.drain()
    site.transform("all.sql", "SELECT * FROM rows")
    site.dataset("own", heavy="all", pii=HASH)
    with site.engine() as engine:
        engine.redrive([], all_failed=True)
        engine.work(not_yet())
    assert site.reprocess(changed_only=True)["from_raw"] == 1
    assert site.query("SELECT email FROM adtech_own.t") == [(HASHED,)]


def test_a_load_with_todays_heavy_transform_needs_no_other(site: Any) -> None:
    site.transform("all.sql", "SELECT nothing FROM rows")
    site.dataset("own", heavy="all", pii=HASH)
    site.put("adtech/own/t/1.csv", f"email\n{MAIL}\n")
    site.drain()
    site.transform("all.sql", "SELECT * FROM rows")
    with site.engine() as engine:
        engine.redrive([], all_failed=True)
        engine.work(not_yet())
    assert site.query("SELECT email FROM adtech_own.t") == [(HASHED,)]
    assert site.reprocess(changed_only=True)["from_raw"] == 0
