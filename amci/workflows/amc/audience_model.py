"""Audiences as values: what amci asks AMC to make of people, and what AMC shows of it (amc-api 2.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class AudienceStatus(StrEnum):
    """AMC's word for where an audience stands."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    DEACTIVATED = "DEACTIVATED"

    @property
    def is_final(self) -> bool:
        """Whether nothing more comes of the request; a good audience is refreshed for a while all the same."""
        return self not in (AudienceStatus.PENDING, AudienceStatus.RUNNING)


class Reach(StrEnum):
    """AMC's `lookalikeAudienceExpectedReach`, from the few who are most alike to the many."""

    MOST_SIMILAR = "MOST_SIMILAR"
    SIMILAR = "SIMILAR"
    BALANCED = "BALANCED"
    BROAD = "BROAD"
    MOST_BROAD = "MOST_BROAD"


@dataclass(frozen=True, slots=True, kw_only=True)
class AudienceRequest:
    """An audience to be made, of the people a query finds or of those who are like them."""

    name: str
    advertiser_id: str  #: of the DSP, or the sponsored ads account (`ENTITY…`), that gets the audience
    window_start: datetime  #: aware
    window_end: datetime  #: exclusive
    query: str | None = None  #: or `workflow_id`
    workflow_id: str | None = None  #: of a workflow in AMC, whose query it is
    reach: Reach | None = None  #: of a lookalike audience; None for the very people the query finds
    description: str = ""
    refresh_days: int | None = None  #: 0 to 21, for lookalikes 7 to 21; None leaves it to AMC, which says 21
    is_window_moving: bool = False  #: both ends move with each refresh
    input_parameters: Sequence[Mapping[str, Any]] = ()  #: as AMC spells them
    parameter_values: Mapping[str, Any] = field(default_factory=dict)
    advertiser_type: str = ""  #: DISPLAY or SPONSORED_ADS
    country_code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """An audience as AMC shows it."""

    audience_id: str  #: AMC's `audienceExecutionId`
    name: str
    status: AudienceStatus
    status_reason: str = ""
    is_lookalike: bool = False
    reach: str = ""
    members: int | None = None  #: people, about
    advertiser_id: str = ""
    advertiser_type: str = ""
    description: str = ""
    created_at: datetime | None = None
    refreshed_at: datetime | None = None
    window_start: datetime | None = None  #: aware, UTC
    window_end: datetime | None = None
    is_window_moving: bool = False
    refresh_days: int | None = None
    query: str = ""
    workflow_id: str = ""
    parameter_values: Mapping[str, Any] = field(default_factory=dict)
    dsp_audience_id: str = ""
    dsp_canonical_id: str = ""
    raw: Mapping[str, Any] = field(default_factory=dict)  #: everything AMC said, in its spelling
