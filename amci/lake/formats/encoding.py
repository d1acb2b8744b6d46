"""Which encoding a text has that is not UTF-8, judged by what comes out: a wrong one gives letters that no word has."""

from __future__ import annotations

import codecs
import re
import unicodedata
from itertools import groupby, pairwise

#: So many bytes, from the first that is not ASCII, are judged.
SAMPLE_BYTES = 64 << 10

# Windows-1252 as the WHATWG Encoding Standard has it: the five bytes it leaves out stay control characters.
WINDOWS_1252 = "".join(bytes([b]).decode("cp1252", "ignore") or chr(b) for b in range(256))

#: Encodings to name to people; those of several bytes a character only if the text fits.
_OTHERS = ("cp932", "gb18030", "big5", "euc_kr")
_ONE_BYTE = ("cp1250", "cp1251", "cp1253", "cp1254")
_LETTER = "[^\\W\\d_¹²³¼½¾]"
_WORD = re.compile(f"{_LETTER}+")
#: What no word of a Western language has: signs inside. Other encodings have letters in their places.
_NO_WORD = re.compile(f"{_LETTER}[£¥¢¤¦¬¼½¾¹²³¯¶¿¡°¸¨±×÷§]+{_LETTER}")
#: Of the words with letters that are not ASCII, so many in a hundred may look odd; and so long a run of them is odd.
_FEW, _ODD_RUN = 20, 3
#: So long has a word to be, for an encoding that has a letter for nearly every byte.
_ENOUGH = 4
#: What Windows-1252 leaves out.
_CONTROLS = re.compile("[\x80-\x9f]")


def judged(sample: bytes) -> str | None:
    """The encoding of a text, by its bytes from the first that is not ASCII; None if it is doubtful.

    `windows-1252` is taken if nearly all words look Western, `cp932` for Japanese with kana, and `cp1251` for Cyrillic.
    """
    if _is_western(codecs.charmap_decode(sample, "strict", WINDOWS_1252)[0]):
        return "windows-1252"
    for encoding, is_likely in (("cp932", _is_japanese), ("cp1251", _is_cyrillic)):
        text = _decoded(sample, encoding)
        if text is not None and is_likely(text):
            return encoding
    return None


def candidates(sample: bytes) -> list[str]:
    """Encodings that are worth a try."""
    return [each for each in _OTHERS if _decoded(sample, each) is not None] + list(_ONE_BYTE)


def _decoded(sample: bytes, encoding: str) -> str | None:
    """The text; the last character may be cut off. None if it is in another encoding."""
    try:
        return codecs.getincrementaldecoder(encoding)().decode(sample)
    except UnicodeDecodeError:
        return None


def _is_western(text: str) -> bool:
    """Whether letters with accents stand among others, one or two at a time, and signs stand outside of words."""
    if _CONTROLS.search(text):
        return False
    words = [word for word in _WORD.findall(text) if not word.isascii()]
    odd = sum(map(_is_odd, words)) + len(_NO_WORD.findall(text))
    return odd * 100 <= _FEW * max(len(words), odd)


def _is_odd(word: str) -> bool:
    """Whether several letters that are not ASCII follow each other, or one is a capital after a small letter."""
    runs = (sum(1 for _ in run) for is_ascii, run in groupby(word, str.isascii) if not is_ascii)
    is_mixed = any(a.islower() and b.isupper() and not b.isascii() for a, b in pairwise(word))
    return max(runs) >= _ODD_RUN or is_mixed or "ƒ" in word


def _is_japanese(text: str) -> bool:
    kinds = [_script(c) for c in text if not c.isascii()]
    kana = sum(kind in ("HIRAGANA", "KATAKANA") for kind in kinds)
    known = sum(kind in ("HIRAGANA", "KATAKANA", "CJK", "IDEOGRAPHIC", "FULLWIDTH") for kind in kinds)
    return kana > 0 and known * 100 >= 95 * len(kinds)


def _is_cyrillic(text: str) -> bool:
    """Whether what is not ASCII is Cyrillic, in words of small letters, capitals, or one capital at the beginning."""
    words = [word for word in _WORD.findall(text) if not word.isascii()]
    fine = [
        word
        for word in words
        if all(_script(c) == "CYRILLIC" for c in word)
        and (word.islower() or word.isupper() or word.istitle())
    ]
    return max(map(len, fine), default=0) >= _ENOUGH and len(fine) * 100 >= 90 * len(words)


def _script(character: str) -> str:
    """The first word of a character's name, such as HIRAGANA; HALFWIDTH katakana is katakana."""
    name = unicodedata.name(character, "").removeprefix("HALFWIDTH ")
    return name.partition(" ")[0].partition("-")[0]
