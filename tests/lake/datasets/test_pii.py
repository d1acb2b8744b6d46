from __future__ import annotations

import hashlib
import hmac

import pyarrow as pa
import pytest
from pydantic import TypeAdapter, ValidationError

from amci.kernel.errors import ConfigError
from amci.lake.datasets.pii import PiiHash, PiiRules, Protection, hashed, protect

KEY = b"a long random text"


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def rules(**given: object) -> dict[str, PiiHash]:
    return TypeAdapter(PiiRules).validate_python(given)


@pytest.mark.parametrize(
    ("kind", "text", "normal"),
    [
        ("email", "  John.Doe@Example.COM ", "john.doe@example.com"),
        ("email", "john_doe-1+tag@example.com", "john_doe-1tag@example.com"),
        ("email", "jöhn doe@example.com", "jhndoe@example.com"),
        ("phone", "+1 (206) 555-0100", "12065550100"),
        ("phone", "0049 30 1234", "49301234"),
        ("phone", "49301234567.0", "49301234567"),
        ("phone", " +4930123456,00", "4930123456"),
        ("phone", "4.9301234567E+10", "49301234567"),
        ("phone", "4.93012345e10", "49301234500"),
        ("phone", "1.2065550100", "12065550100"),
        ("phone", "206.555.0100", "2065550100"),
        ("phone", "555.00", "55500"),
        ("first_name", " Jörg-Ægir ", "joergaegir"),
        ("first_name", "Jo\u0308rg", "joerg"),
        ("last_name", "O'Neil Strauß", "oneilstrauss"),
        ("city", "St. Louis", "stlouis"),
        ("state", " NY", "ny"),
        ("postal", "12345-6789", "12345"),
        ("postal", "SW1A 1AA", "sw1a1aa"),
        ("postal", "12345.0", "12345"),
        ("postal", "12.345", "12345"),
        ("plain", "12345.0", "12345.0"),
        ("plain", " As Is ", " As Is "),
    ],
)
def test_values_are_normalised_as_amazon_asks_and_then_hashed(kind: str, text: str, normal: str) -> None:
    rule = PiiHash(hash=kind)  # type: ignore[arg-type]
    assert hashed(text, rule, None) == sha(normal)
    keyed = PiiHash(hash=kind, keyed=True)  # type: ignore[arg-type]
    assert hashed(text, keyed, KEY) == hmac.new(KEY, normal.encode(), "sha256").hexdigest()


def test_a_digest_is_not_hashed_again() -> None:
    digest = sha("someone")
    assert hashed(digest.upper(), PiiHash(hash="email"), None) == digest
    assert hashed(digest[:-1], PiiHash(hash="plain"), None) == sha(digest[:-1])


def test_what_normalises_to_nothing_becomes_null_and_not_everybodys_hash() -> None:
    assert hashed("---", PiiHash(hash="phone"), None) is None
    assert hashed("Иван", PiiHash(hash="first_name"), None) is None


def test_words_for_no_value_and_shortened_phone_numbers_are_not_hashed() -> None:
    texts = pa.array(["4.9301234567E+9", "4,93E+10", "N/A", "", None, "+49 30 1"])
    inner = pa.array(['{"phone": "N/A"}', '{"phone": "4.93E+10"}', *[""] * 4])
    protection = Protection({"phone": PiiHash(hash="phone")}, None, nulls=["N/A"])
    paths = [("phone",), ("user",)]
    safe = protection.apply(pa.record_batch([texts, inner], ["phone", "user"]), paths)
    assert safe.column(0).to_pylist() == [None, None, None, "", None, sha("49301")]
    assert safe.column(1).to_pylist()[:2] == ['{"phone":null}'] * 2
    ((note,),) = [protection.notes]
    assert (note["rows"], note["on_fail"]) == (3, "warn")


def test_protect_hashes_drops_and_leaves_the_rest() -> None:
    batch = pa.RecordBatch.from_pydict(
        {
            "E-Mail": ["A@x.com", None, "", "a@x.com"],
            "Ssn": ["1", "2", "3", "4"],
            "clicks": ["7", "8", None, ""],
        }
    )
    batch = batch.replace_schema_metadata({"kept": "yes"})
    asked = rules(e_mail={"hash": "email"}, SSN="drop", absent={"hash": "plain"})
    done = protect(batch, asked, None)
    assert done.to_pydict() == {
        "E-Mail": [sha("a@x.com"), None, "", sha("a@x.com")],
        "clicks": ["7", "8", None, ""],
    }
    assert done.schema.metadata == {b"kept": b"yes"}
    assert done.num_rows == 4


@pytest.mark.parametrize("text", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_the_columns_type_stays(text: pa.DataType) -> None:
    batch = pa.RecordBatch.from_arrays([pa.array(["+1 2", None, ""], text)], names=["phone"])
    done = protect(batch, rules(phone={"hash": "phone"}), None)
    assert done.schema.field("phone").type == text
    assert done.column("phone").to_pylist() == [sha("12"), None, ""]


def test_an_empty_batch_stays_empty() -> None:
    batch = pa.RecordBatch.from_arrays([pa.array([], pa.string())], names=["phone"])
    assert protect(batch, rules(phone={"hash": "phone"}), None).num_rows == 0


@pytest.mark.parametrize("key", [None, b""])
def test_a_keyed_column_without_a_key_is_a_mistake_in_the_configuration(key: bytes | None) -> None:
    batch = pa.RecordBatch.from_pydict({"other": ["x"]})
    with pytest.raises(ConfigError) as refused:
        protect(batch, rules(phone={"hash": "phone", "keyed": True}), key)
    assert "AMCI_PII_KEY" in refused.value.hint


@pytest.mark.parametrize(
    "given",
    [
        {"a": "keep"},
        {"a": {"hash": "md5"}},
        {"a": {"hash": "email", "salt": "x"}},
        {"E-Mail": "drop", "e_mail": "drop"},
        {"userEmail": "drop", "user.email": {"hash": "email"}},
        {"a": {"drop": False}},
        {"a": {"drop": True, "hash": "email"}},
        {"--": "drop"},
    ],
)
def test_mistaken_rules_are_refused(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        rules(**given)


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("keep", ["word: Input should be 'drop' or 'public'"]),
        ({"hash": "md5"}, ["PiiHash.hash: Input should be 'email', 'phone'"]),
        ({"drop": False}, ["PiiDrop.drop: Input should be True"]),
    ],
)
def test_a_mistake_is_told_of_the_kind_of_rule_that_was_meant(rule: object, says: list[str]) -> None:
    with pytest.raises(ValidationError) as refused:
        rules(email=rule)
    told = [f"{'.'.join(map(str, e['loc'][1:]))}: {e['msg']}" for e in refused.value.errors()]
    assert [line[: len(said)] for line, said in zip(told, says, strict=True)] == says


def test_a_column_named_twice_is_protected_twice() -> None:
    batch = pa.RecordBatch.from_pydict({"email": ["a@b.c"], "email_2": ["a@b.c"]})
    rules = {"email": PiiHash(hash="email")}
    protected = protect(batch, rules, None).to_pydict()
    assert protected["email"] == protected["email_2"] == [hashed("a@b.c", rules["email"], None)]
