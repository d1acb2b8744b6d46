"""Takes ids, links and secrets out of what is recorded: ids become pseudonyms, secrets placeholders.

The text rules are in `scrub_rules`; this module keeps which real value got which pseudonym.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from amci.kernel.errors import AmciError
from amci.tenants.credentials import CredentialSource
from amci.tenants.model import Tenant
from amci.workflows.amazon import scrub_rules as rules

#: Ids found on the way that are long enough to be told from ordinary words.
_LEAST = 8
#: An id shorter than this is taken for one only as it is written in config/.
_LEAST_IN_ANY_CASE = 4
_EVERYWHERE = ("instance_id", "advertiser_id", "bucket")
_INSTANCE_IN_PATH = re.compile(r"(?<=^/amc/)(reporting|instances|advertiserData)/([^/]+)")


def known_ids(tenants: Iterable[Tenant], client_ids: Mapping[str, str] | None = None) -> dict[str, str]:
    """The ids of a project by name, such as `acme.instance_id`; `client_ids` by auth id."""
    found = {}
    for tenant in sorted(tenants, key=lambda t: t.tenant):
        found[f"{tenant.tenant}.instance_id"] = tenant.instance_id
        found[f"{tenant.tenant}.advertiser_id"] = tenant.advertiser_id
    found |= {f"{auth_id}.client_id": value for auth_id, value in sorted((client_ids or {}).items())}
    return {name: value for name, value in found.items() if value}


def client_ids(tenants: Iterable[Tenant], source: CredentialSource) -> dict[str, str]:
    """The client ids of these tenants' logins, by auth id; without those that cannot be read now."""
    found = {}
    for auth_id in sorted({tenant.auth_id for tenant in tenants}):
        with suppress(AmciError):
            found[auth_id] = source.get(auth_id).client_id
    return found


class Scrubber:
    """Scrubs requests and responses of one scenario. It learns ids on the way; its caller keeps threads apart."""

    def __init__(
        self, known: Mapping[str, str], *, recorded: Mapping[str, str] | None = None, seen: str = ""
    ) -> None:
        """`known`: name → real id. `recorded`: name → pseudonym, and `seen` the text of an older recording."""
        self._ids = {name: real for name, real in known.items() if real}
        self._counts = rules.highest_numbers(f"{seen} {' '.join((recorded or {}).values())}")
        self._known: dict[str, str] = {}  # by the folded id
        self._real: dict[str, str] = {}
        self._learned: dict[tuple[str, str], str] = {}
        self.pseudonyms: dict[str, str] = {}  #: name → pseudonym, as it stands in the fixture
        for name, real in sorted(self._ids.items(), key=lambda item: item[0] not in (recorded or {})):
            folded = _folded(real)
            given = self._known.get(folded) or (recorded or {}).get(name) or self._fresh(rules.kind_of(name))
            self._known[folded] = self.pseudonyms[name] = given
            self._real.setdefault(given, real)
        self._forward = _alternation(self._ids.values())
        self._back = _alternation(self._real, is_exact=True)

    def resumed(self, recorded: Mapping[str, str], seen: str) -> Scrubber:
        """One with the same ids that goes on where a recording ended: its pseudonyms, and numbers above them."""
        return Scrubber(self._ids, recorded=recorded, seen=seen)

    @property
    def learned(self) -> int:
        """How many ids and links were met so far that the configuration does not name."""
        return len(self._learned)

    def path(self, path: str) -> str:
        """A path; the instance in it is one even if nothing else says so."""
        return self.text(
            _INSTANCE_IN_PATH.sub(lambda m: f"{m[1]}/{self._pseudonym('instance_id', m[2])}", path)
        )

    def link(self, url: str) -> str:
        """The stand-in of a link to a file, `https://download.invalid/<n>`; the same for the same link."""
        return self._pseudonym("link", url)

    def has_link(self, url: str) -> bool:
        """Whether this is a link that was met before, or the stand-in of one."""
        return ("link", url) in self._learned or rules.OURS["link"].fullmatch(url) is not None

    def value(self, value: Any, key: str = "", under: str = "") -> Any:
        """A JSON value; `key` is the key it stands at, `under` that of the object around."""
        if isinstance(value, Mapping):
            is_hidden = rules.field(key) == "secret"
            return {
                self.text(str(k)): self.value(v, key if is_hidden else str(k), key) for k, v in value.items()
            }
        if isinstance(value, list | tuple):
            return [self.value(item, key, under) for item in value]
        return (
            value if value is None or isinstance(value, bool) else self._leaf(value, rules.field(key, under))
        )

    def _leaf(self, value: Any, what: str) -> Any:
        if what == "secret":
            return value if rules.is_placeholder(value) else rules.SECRET
        if what == "aws_account":
            return self._pseudonym(what, str(value))
        if not isinstance(value, str):
            return value
        if what == "link" and value.startswith(("http://", "https://")):
            return self.link(value)
        return self._pseudonym(what, value) if what not in ("", "link") else self.text(value)

    def text(self, text: str, *, is_data: bool = False) -> str:
        """Any text. `is_data`: rows of a result, where twelve digits are a number and no AWS account."""
        text = rules.URL.sub(self._linked, text)
        text = self.ids(text)
        for kind, pattern in rules.IDS.items():
            if not (is_data and kind == "aws_account"):
                text = pattern.sub(lambda m, kind=kind: self._pseudonym(kind, m[0]), text)  # type: ignore[misc]
        return rules.without_secrets(text)

    def ids(self, text: str) -> str:
        """The text with every id met so far replaced, and nothing else."""
        text = self._forward.sub(lambda m: self._known[_folded(m[0])], text)
        found = {_folded(real): p for (kind, real), p in self._learned.items() if kind in _EVERYWHERE}
        found = {real: pseudonym for real, pseudonym in found.items() if len(real) >= _LEAST}
        return _alternation(found).sub(lambda m: found[_folded(m[0])], text) if found else text

    def unscrubbed(self, value: Any) -> Any:
        """The value, text or JSON, with the project's real ids in place of their pseudonyms."""
        if isinstance(value, str):
            return self._back.sub(lambda m: self._real[m[0]], value)
        if isinstance(value, Mapping):
            return {self.unscrubbed(str(key)): self.unscrubbed(inner) for key, inner in value.items()}
        return [self.unscrubbed(item) for item in value] if isinstance(value, list | tuple) else value

    def _linked(self, found: re.Match[str]) -> str:
        url = found[0]
        return self.link(url) if rules.is_signed(url) or self.has_link(url) else url

    def _pseudonym(self, kind: str, real: str) -> str:
        if _folded(real) in self._known:
            return self._known[_folded(real)]
        if not real or rules.OURS[kind].fullmatch(real):
            return real
        if (kind, real) not in self._learned:
            self._learned[kind, real] = self._fresh(kind)
        return self._learned[kind, real]

    def _fresh(self, kind: str) -> str:
        """A pseudonym that nothing has yet, and that is not a real id."""
        while True:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            made = rules.PSEUDONYMS[kind].format(self._counts[kind])
            if _folded(made) not in map(_folded, self._ids.values()):
                return made


def _folded(real: str) -> str:
    """An id whatever its case: people and AMC write it in several."""
    return real.lower()


def _alternation(words: Iterable[str], *, is_exact: bool = False) -> re.Pattern[str]:
    """Any of these words in any case, the longest first; short ones only if no letter or digit adjoins.

    `is_exact`: none if a letter or digit adjoins, or in another case.
    """
    parts = []
    for word in sorted(filter(None, words), key=lambda w: (-len(w), w)):
        is_alone = is_exact or len(word) < _LEAST
        found = f"(?-i:{re.escape(word)})" if is_exact or len(word) < _LEAST_IN_ANY_CASE else re.escape(word)
        parts.append(rf"(?<![A-Za-z0-9]){found}(?![A-Za-z0-9])" if is_alone else found)
    # Of other letters' cases, such as the long s for s, no id is made.
    return re.compile("|".join(parts) if parts else r"(?!)", re.IGNORECASE | re.ASCII)
