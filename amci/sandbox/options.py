"""What a sandbox is told when it is opened: its instances, its speed, its events."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxInstance:
    """An AMC instance the sandbox answers for."""

    instance_id: str
    entity_id: str  #: the AMC account, sent as `Amazon-Advertising-API-AdvertiserId`
    marketplace_id: str
    name: str
    creation_status: str = "COMPLETED"  #: REQUESTED, SUBMITTED, IN_PROGRESS, COMPLETED, FAILED
    has_accepted_terms: bool = True

    @property
    def bucket_name(self) -> str:
        """`amc-<name>-<8 characters>` (amc-api 2.3)."""
        letters = "".join(c if c.isalnum() else "-" for c in self.name.lower()) or self.instance_id
        return f"amc-{letters}-{hashlib.sha256(self.instance_id.encode()).hexdigest()[:8]}"


#: Known where nobody names another.
DEFAULT_INSTANCE = SandboxInstance(
    instance_id="amcsandbox1", entity_id="ENTITYSANDBOX", marketplace_id="ATVPDKIKX0DER", name="sandbox"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxLogin:
    """A login the sandbox accepts."""

    client_id: str
    client_secret: str = field(repr=False)
    refresh_token: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxOptions:
    """How a sandbox behaves."""

    instances: tuple[SandboxInstance, ...] = (DEFAULT_INSTANCE,)
    pending: timedelta = timedelta(0)  #: an execution stays PENDING so long, even where a slot is free
    running: timedelta = timedelta(0)  #: and RUNNING at least so long
    slots: int = 10  #: executions of one instance at one time (amc-api 1.6)
    seed: int = 1  #: of the events; the same seed gives the same events
    anchor: date | None = None  #: last day of events; None follows the clock
    days: int = 60  #: days of events up to the anchor when the directory is made
    users: int = 2000
    bucket: Path | None = None  #: results are delivered here as into AMC's bucket, too
    credentials: tuple[SandboxLogin, ...] = ()  #: logins that are accepted; any where empty
    rotates_refresh_tokens: bool = False  #: each refresh gives a new refresh token and ends the old one
    memory_limit: int = 512 * 1024**2  #: bytes one query may use
    query_timeout: timedelta = timedelta(seconds=60)  #: a query that runs longer fails its execution

    def instance(self, instance_id: str) -> SandboxInstance | None:
        """The instance of this id, or None."""
        return next((known for known in self.instances if known.instance_id == instance_id), None)
