"""The options of a sandbox: its instances, its delays, its events."""

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
    """An AMC instance of the sandbox."""

    instance_id: str
    entity_id: str  #: the AMC account, sent as `Amazon-Advertising-API-AdvertiserId`
    marketplace_id: str
    name: str
    creation_status: str = "COMPLETED"  #: REQUESTED, SUBMITTED, IN_PROGRESS, COMPLETED, FAILED
    has_accepted_terms: bool = True
    instance_type: str = "STANDARD"  #: or SANDBOX, in which executions have to require synthetic data
    advertiser_name: str | None = None
    aws_account_id: str = ""  #: owner of the bucket; empty if it is AMC's
    bucket: str = ""  #: empty if AMC names it
    created_at: datetime | None = None  #: aware, UTC; None if it comes from the options
    #: `acrCustomerPartners` of its AWS Clean Rooms collaboration; None without one
    partners: tuple[Mapping[str, Any], ...] | None = None

    @property
    def account(self) -> tuple[str, str]:
        """Its AMC account: id and marketplace."""
        return self.entity_id, self.marketplace_id

    @property
    def bucket_name(self) -> str:
        """The bucket that results are delivered to."""
        return self.bucket or bucket_of(self.instance_id, self.name)


def bucket_of(instance_id: str, name: str) -> str:
    """AMC's name for the bucket it creates for an instance: `amc-<name>-<8 characters>` (amc-api 2.3)."""
    letters = "".join(c if c.isalnum() else "-" for c in name.lower()) or instance_id
    return f"amc-{letters}-{hashlib.sha256(instance_id.encode()).hexdigest()[:8]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetOptions:
    """How many different queries may read the same data; `most` = 0 means any number."""

    most: int = 0
    within: timedelta = timedelta(days=1)


#: The instance of a sandbox that is not given any.
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
    pending: timedelta = timedelta(0)  #: how long an execution is PENDING at least, even if a slot is free
    running: timedelta = timedelta(0)  #: how long it is RUNNING at least
    creating: timedelta = timedelta(0)  #: how long an instance takes to create
    updating: timedelta = timedelta(0)  #: how long an update of its advertisers takes
    slots: int = 10  #: most executions of one instance that run at a time (amc-api 1.6)
    account_slots: int = 200  #: the same for all instances of one AMC account
    #: fewest people of an audience (amc-api 2.4); small worlds need a lower limit
    audience_minimum: int = 2000
    seed: int = 1  #: of the events; the same seed gives the same instance the same events
    anchor: date | None = None  #: last day of events; None follows the clock
    days: int = 60  #: days of events up to the anchor when the directory is made
    scale: float = 0.02  #: of the events: 1 is 100,000 people, of whom each instance sees its own part
    budget: BudgetOptions = BudgetOptions()
    bucket: Path | None = None  #: a folder that results are delivered to, as AMC does with its bucket
    credentials: tuple[SandboxLogin, ...] = ()  #: the logins that are accepted; any if empty
    rotates_refresh_tokens: bool = False  #: each refresh returns a new refresh token and revokes the old one
    memory_limit: int = 512 * 1024**2  #: bytes one query may use
    #: a query whose plan takes longer is refused: DuckDB computes constants for it
    check_timeout: timedelta = timedelta(seconds=20)
    query_timeout: timedelta = timedelta(seconds=60)  #: a query that runs longer fails its execution

    def __post_init__(self) -> None:
        """Raise UsageError for a world without people."""
        if self.scale <= 0:
            raise UsageError(
                f"--scale {self.scale:g} makes no people", hint="1 is 100,000 people; 0.01 is quick"
            )
