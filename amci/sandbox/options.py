"""What a sandbox is told when it is opened: its instances, its speed, its events."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from amci.kernel.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxInstance:
    """An AMC instance the sandbox answers for."""

    instance_id: str
    entity_id: str  #: the AMC account, sent as `Amazon-Advertising-API-AdvertiserId`
    marketplace_id: str
    name: str
    creation_status: str = "COMPLETED"  #: REQUESTED, SUBMITTED, IN_PROGRESS, COMPLETED, FAILED
    has_accepted_terms: bool = True
    instance_type: str = "STANDARD"  #: or SANDBOX, where executions have to require synthetic data
    advertiser_name: str | None = None
    aws_account_id: str = ""  #: of the one who owns the bucket, where it is not AMC's
    bucket: str = ""  #: empty where AMC names it
    created_at: datetime | None = None  #: aware, UTC; None where the sandbox was told of it
    partners: tuple[Mapping[str, Any], ...] | None = (
        None  #: in its AWS Clean Rooms collaboration, where it has one
    )

    @property
    def account(self) -> tuple[str, str]:
        """Its AMC account: id and marketplace."""
        return self.entity_id, self.marketplace_id

    @property
    def bucket_name(self) -> str:
        """Where results are delivered."""
        return self.bucket or bucket_of(self.instance_id, self.name)


def bucket_of(instance_id: str, name: str) -> str:
    """What AMC calls the bucket it makes for an instance: `amc-<name>-<8 characters>` (amc-api 2.3)."""
    letters = "".join(c if c.isalnum() else "-" for c in name.lower()) or instance_id
    return f"amc-{letters}-{hashlib.sha256(instance_id.encode()).hexdigest()[:8]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetOptions:
    """At most so many different queries about the same within a time; `most` = 0 sets no limit."""

    most: int = 0
    within: timedelta = timedelta(days=1)


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
    creating: timedelta = timedelta(0)  #: how long it takes to make an instance
    updating: timedelta = timedelta(0)  #: and to change its advertisers
    slots: int = 10  #: executions of one instance at one time (amc-api 1.6)
    account_slots: int = 200  #: and of all instances of one AMC account
    audience_minimum: int = 2000  #: people an audience needs (amc-api 2.4); less in small worlds
    seed: int = 1  #: of the events; the same seed gives the same instance the same events
    anchor: date | None = None  #: last day of events; None follows the clock
    days: int = 60  #: days of events up to the anchor when the directory is made
    scale: float = 0.02  #: of the events: 1 is 100,000 people, of whom each instance sees its own part
    budget: BudgetOptions = (
        BudgetOptions()
    )  #: how many different queries may ask the same data about the same time
    bucket: Path | None = None  #: results are delivered here as into AMC's bucket, too
    credentials: tuple[SandboxLogin, ...] = ()  #: logins that are accepted; any where empty
    rotates_refresh_tokens: bool = False  #: each refresh gives a new refresh token and ends the old one
    memory_limit: int = 512 * 1024**2  #: bytes one query may use
    query_timeout: timedelta = timedelta(seconds=60)  #: a query that runs longer fails its execution

    def __post_init__(self) -> None:
        """Raise UsageError where there would be no world."""
        if self.scale <= 0:
            raise UsageError(
                f"--scale {self.scale:g} makes no people", hint="1 is 100,000 people; 0.01 is quick"
            )
