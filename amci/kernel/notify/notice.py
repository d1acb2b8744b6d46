"""A notice, and the targets that want it: each with its filters, checked when it is made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Self
from urllib.parse import SplitResult, unquote, urlsplit

from amci.kernel.clock import moment, timestamp
from amci.kernel.config import NotifySettings
from amci.kernel.errors import ConfigError, Problem
from amci.kernel.text import encodable

#: The kind of run that sends a notice; there are no notices about such runs.
NOTIFY = "notify"
#: Amazon SNS takes no longer subject, and the AWS solution cut its own there.
LONGEST_SUBJECT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something people may want to know of."""

    event: str
    subject: str  #: one line; whatever is longer than an SNS subject is cut
    body: str = ""
    run_id: int | None = None
    tenant_id: str | None = None
    at: datetime
    fields: Mapping[str, Any] = field(default_factory=dict)  #: to filter by, as SNS message attributes were
    occasion: str = ""  #: tells two like events of one run apart: one that failed, was redriven and failed

    def __post_init__(self) -> None:
        subject = self.subject
        if not subject.isprintable():
            subject = "".join(c if c.isprintable() else " " for c in subject)
        one_line = " ".join(subject.split())
        object.__setattr__(self, "subject", one_line[:LONGEST_SUBJECT])
        object.__setattr__(self, "body", encodable(self.body))

    def document(self) -> dict[str, Any]:
        """As JSON values: a line of a file, the body of a webhook, the payload of a run."""
        values = {
            "event": self.event,
            "subject": self.subject,
            "body": self.body,
            "run_id": self.run_id,
            "tenant_id": self.tenant_id,
            "at": timestamp(self.at),
            "fields": self.fields,
        }
        return dict(json.loads(json.dumps(values, default=str)))

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Inverse of `document`."""
        return cls(**{**document, "at": moment(document["at"])})


class TargetKind(StrEnum):
    """Where notices go."""

    CONSOLE = "console"
    FILE = "file"
    WEBHOOK = "webhook"
    SMTP = "smtp"


_SCHEMES = {TargetKind.WEBHOOK: ("https", "http"), TargetKind.SMTP: ("smtp", "smtps")}


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyTarget:
    """One place that gets notices of some events; raises ConfigError with everything it lacks."""

    kind: TargetKind
    path: Path | None = None  #: of a file
    url: str = field(default="", repr=False)  #: of a webhook or a mail server; may hold a secret
    secret: str = ""  #: the name of the secret, not the secret
    sender: str = field(default="", repr=False)
    to: tuple[str, ...] = field(default=(), repr=False)
    events: frozenset[str] = frozenset()  #: empty means every event
    kinds: frozenset[str] = frozenset()  #: empty means runs of every kind
    statuses: frozenset[str] = frozenset()  #: empty means every AMC status, and what has none
    tenants: frozenset[str] = frozenset()  #: empty means every tenant, and what concerns none

    def __post_init__(self) -> None:
        says = {
            "path": "a target of kind 'file' needs a path"
            if self.kind is TargetKind.FILE and self.path is None
            else "",
            "url": self._wrong_with_url(),
            "sender": "a target of kind 'smtp' needs the sender's address"
            if self.kind is TargetKind.SMTP and "@" not in self.sender
            else "",
            "to": "a target of kind 'smtp' needs recipients, each an address"
            if self.kind is TargetKind.SMTP and not (self.to and all("@" in one for one in self.to))
            else "",
        }
        if problems := [Problem("", f"notify.{name}", text) for name, text in says.items() if text]:
            raise ConfigError(problems)

    @classmethod
    def of(cls, home: Path, settings: NotifySettings, tenant: str | None = None) -> Self:
        """A target as configured; `tenant` if it is from a tenant's own file."""
        kind = TargetKind(settings.kind)
        return cls(
            kind=kind,
            path=home / settings.path if kind is TargetKind.FILE else None,
            url=settings.url,
            secret=settings.secret,
            sender=settings.sender,
            to=settings.to,
            events=frozenset(settings.events),
            kinds=frozenset(settings.kinds),
            statuses=frozenset(status.upper() for status in settings.statuses),
            tenants=frozenset(settings.tenants if tenant is None else (tenant,)),
        )

    @property
    def is_remote(self) -> bool:
        """Whether it is notified through a run, since it may be unreachable for a while."""
        return self.kind in _SCHEMES

    @property
    def target_id(self) -> str:
        """A name that changes only with the address, and does not reveal it."""
        address = "\n".join((self.kind, self.url, self.sender, *self.to))
        return f"{self.kind}-{hashlib.sha256(address.encode()).hexdigest()[:8]}"

    @property
    def pool(self) -> str:
        """The pool of its runs: a target that does not answer delays no other."""
        return f"notify:{self.target_id}"

    @property
    def host(self) -> str:
        """The server it is on; what follows in the address may be a secret."""
        return self.address.hostname or ""

    @property
    def address(self) -> SplitResult:
        """The parts of the URL."""
        return urlsplit(self.url)

    @property
    def user(self) -> str:
        """The login name at the mail server; empty without a login."""
        return unquote(self.address.username or "")

    def hears(self, event: str, run_kind: str | None, tenant_id: str | None) -> bool:
        """Whether notices of such an event of such a run may be for this target."""
        return (
            (not self.events or event in self.events)
            and (not self.kinds or run_kind in self.kinds)
            and (not self.tenants or tenant_id in self.tenants)
        )

    def wants(self, notice: Notice) -> bool:
        """Whether this notice is for this target."""
        return self.hears(notice.event, notice.fields.get("kind"), notice.tenant_id) and (
            not self.statuses or notice.fields.get("responseStatus") in self.statuses
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.path or self.host}".strip()

    def _wrong_with_url(self) -> str:
        if not self.is_remote:
            return ""
        schemes = _SCHEMES[self.kind]
        try:
            parts = self.address
            is_whole = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_whole = False
        if not is_whole:
            return f"should be a whole address that begins with {' or '.join(f'{s}://' for s in schemes)}"
        if parts.password is not None:
            return (
                "should hold no password: store it with `amci auth set --secret NAME`, and set `secret: NAME`"
            )
        return ""
