"""Text that is not UTF-8: its encoding is judged by what comes out, and refused if nothing believable does."""

from __future__ import annotations

from pathlib import Path

import pytest

from amci.kernel.errors import MalformedFile
from amci.lake.formats import CsvOptions, FileFormat, Reading
from amci.lake.formats.encoding import SAMPLE_BYTES, candidates, judged

CASES = Path(__file__).parents[2] / "field_cases" / "encodings"

WESTERN = [
    "Müller, Bäcker & Söhne",
    "été à Orléans – CRÉÉE où ?",
    "España, México: ¿qué? ¡olé!",
    "ações não são",
    "blåbærgrød på Øen, Þórður á Íslandi",
    "5 €, 20 %, 10 m², 30 °C, ½ l, 3×4, 2 µm, Müller® “smart” ‘quotes’ …",
    "L’Oréal, l·l, naïveté",
    "ÄÖ ÅÄ",
    "Çok güzel",
]
JAPANESE = [
    "ホワイト ペイント ペン",
    "表示ソート能力",
    "ｱｲｳ ペン",
    "商品名,価格\nペン,100円",
    "あいうえお　全角",
]
CYRILLIC = ["Название,Цена", "Чайник электрический", "КРУЖКА 0,5 л – «белая»", "Привет мир №5"]
#: Nothing says for certain what these are.
DOUBTFUL = [
    ("żółty kubek, Kraków, Łódź, świeże pączki", "cp1250"),
    ("名称,数量 杯子", "gb18030"),
    ("상품명 가격", "euc_kr"),
    ("Ελληνικά γράμματα εδώ", "cp1253"),
    ("商品名", "cp932"),
]


def sample(text: str, encoding: str) -> bytes:
    content = text.encode(encoding)
    return content[next(at for at, byte in enumerate(content) if byte > 127) :]


@pytest.mark.parametrize("text", WESTERN)
def test_western_words_are_windows_1252(text: str) -> None:
    assert judged(sample(text, "cp1252")) == "windows-1252"


@pytest.mark.parametrize("text", JAPANESE)
def test_kana_are_cp932(text: str) -> None:
    assert judged(sample(text, "cp932")) == "cp932"


@pytest.mark.parametrize("text", CYRILLIC)
def test_cyrillic_is_windows_1251(text: str) -> None:
    assert judged(sample(text, "cp1251")) == "cp1251"


@pytest.mark.parametrize(("text", "encoding"), DOUBTFUL)
def test_what_is_doubtful_is_refused_and_the_right_one_is_among_those_to_try(
    text: str, encoding: str
) -> None:
    begin = sample(text, encoding)
    assert judged(begin) is None
    assert encoding in candidates(begin)


def read(
    content: bytes, folder: Path, chunk: int = 1 << 20, **options: str
) -> tuple[list[list[str]], dict[str, str]]:
    path = folder / "file.csv"
    path.write_bytes(content)
    with Reading(path, FileFormat.CSV, csv=CsvOptions(**options), chunk_bytes=chunk) as reading:  # type: ignore[arg-type]
        rows = [list(row.values()) for batch in reading.batches() for row in batch.data.to_pylist()]
        return rows, reading.guessed


@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
def test_reports_of_other_marketplaces_are_read(chunk: int, tmp_path: Path) -> None:
    rows, guessed = read((CASES / "listing.txt").read_bytes(), tmp_path, chunk)
    assert {row[0] for row in rows} == {"ホワイト ペイント ペン", "表示ソート能力"}
    assert guessed["encoding"] == "cp932"
    rows, guessed = read((CASES / "listing-cyrillic.txt").read_bytes(), tmp_path, chunk)
    assert rows[0][0] == "Чайник"
    assert guessed["encoding"] == "cp1251"


def test_a_doubtful_encoding_is_refused_with_its_line(tmp_path: Path) -> None:
    content = "a,b\n1,2\nżółty kubek z Łodzi świeże,3\n".encode("cp1250")
    with pytest.raises(MalformedFile, match="the encoding of the text is not known") as refused:
        read(content, tmp_path)
    assert refused.value.line == 3
    assert "cp1250" in refused.value.hint
    assert read(content, tmp_path, encoding="cp1250")[0][1] == ["żółty kubek z Łodzi świeże", "3"]


@pytest.mark.parametrize("text", ["ü", "ペ"])
@pytest.mark.parametrize("size", [SAMPLE_BYTES - 1, SAMPLE_BYTES, SAMPLE_BYTES * 2])
def test_what_lies_behind_the_sample_is_read_in_the_same_encoding(
    text: str, size: int, tmp_path: Path
) -> None:
    encoding = "cp1252" if text == "ü" else "cp932"
    content = f"a\n{text * 2}n\n" + ("x" * 10 + "\n") * (size // 11) + f"{text}\n"
    rows, _ = read(content.encode(encoding), tmp_path, 4096)
    assert (rows[0], rows[-1]) == ([f"{text * 2}n"], [text])


@pytest.mark.parametrize(
    ("encoding", "told"), [("cp1252", ["csv: {encoding: windows-1252}"]), ("utf-8", []), ("utf-16", [])]
)
def test_an_encoding_that_had_to_be_judged_is_told(encoding: str, told: list[str], tmp_path: Path) -> None:
    (tmp_path / "file.csv").write_bytes("Stadt\nKöln\n".encode(encoding))
    with Reading(tmp_path / "file.csv", FileFormat.CSV) as reading:
        list(reading.batches())
    assert [doubt.hint.split("`")[1] for doubt in reading.doubts if doubt.kind == "encoding"] == told
