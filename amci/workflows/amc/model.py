"""What amci asks AMC and what AMC answers, as values; camelCase is left at the edge, in `wire`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class ExecutionStatus(StrEnum):
    """AMC's word for where an execution stands; never mixed with the status of our run."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    PUBLISHING = "PUBLISHING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    REJECTED = "REJECTED"
    CANCELLED = "CANCELLED"
    #: Ours: AMC does not know the execution (any more).
    DELETED = "DELETED"

    @property
    def is_final(self) -> bool:
        """Whether AMC will not change it any more."""
        return self not in (ExecutionStatus.PENDING, ExecutionStatus.RUNNING, ExecutionStatus.PUBLISHING)


class WindowType(StrEnum):
    """AMC's `timeWindowType`."""

    EXPLICIT = "EXPLICIT"
    MOST_RECENT_DAY = "MOST_RECENT_DAY"
    MOST_RECENT_WEEK = "MOST_RECENT_WEEK"
    CURRENT_MONTH = "CURRENT_MONTH"
    PREVIOUS_MONTH = "PREVIOUS_MONTH"
    ALL = "ALL"


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeWindow:
    """The events a workflow execution looks at."""

    type: WindowType = WindowType.MOST_RECENT_DAY
    #: For EXPLICIT, before resolving: `yyyy-MM-ddTHH:mm:ss` or a dynamic date; local to `time_zone`.
    start: str | None = None
    end: str | None = None  #: exclusive
    time_zone: str = "UTC"  #: IANA; also sets the day and month boundaries of relative windows


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionRequest:
    """One execution to be asked for. Before `resolved`, dates in window and parameters may be dynamic."""

    workflow_id: str  #: of a workflow in AMC; for ad-hoc SQL, the name it runs under
    sql_query: str | None = None  #: ad hoc: sent along, not saved in AMC
    definition: Mapping[str, Any] = field(default_factory=dict)  #: ad hoc: further fields of AMC's workflow
    window: TimeWindow = TimeWindow()
    parameter_values: Mapping[str, Any] = field(default_factory=dict)
    dry_run: bool = False
    require_synthetic_data: bool = False
    disable_aggregation_controls: bool = False
    ignore_data_gaps: bool | None = None
    skip_publish: bool = False
    timeout_seconds: int | None = None  #: 900 … 86400
    more: Mapping[str, Any] = field(default_factory=dict)  #: further fields of AMC's, as AMC spells them


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """An execution as AMC shows it."""

    workflow_execution_id: str
    workflow_id: str
    status: ExecutionStatus
    status_reason: str = ""
    created_at: datetime | None = None
    updated_at: datetime | None = None
    window_start: datetime | None = None  #: aware, UTC; None until AMC has resolved a relative window
    window_end: datetime | None = None
    window_start_local: str | None = None  #: as asked, local to `time_zone`
    window_end_local: str | None = None
    time_zone: str = "UTC"
    parameter_values: Mapping[str, Any] = field(default_factory=dict)
    execution_seconds: float | None = None
    output_columns: Sequence[Mapping[str, Any]] = ()
    raw: Mapping[str, Any] = field(default_factory=dict)  #: everything AMC said, in its spelling
    exchange: Mapping[str, Any] | None = field(default=None, compare=False)  #: how it was asked and answered


@dataclass(frozen=True, slots=True)
class Downloads:
    """Links to the files of a result; each is good for some minutes."""

    urls: Sequence[str]
    metadata_urls: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """An AMC instance as the administration API shows it."""

    instance_id: str
    name: str
    creation_status: str  #: REQUESTED, SUBMITTED, IN_PROGRESS, COMPLETED, FAILED
    instance_type: str = "STANDARD"
    raw: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An AMC account."""

    account_id: str
    name: str
    marketplace_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Advertiser:
    """An advertiser whose events are in an instance."""

    advertiser_id: str
    name: str
    type: str
    marketplace_id: str | None = None
