"""A file in config/schedules/: when, what, for whom."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from amci.kernel.config import Duration, PositiveDuration, Strict
from amci.kernel.dates import time_zone
from amci.kernel.errors import UsageError
from amci.scheduler import aws_schedule
from amci.scheduler.expression import parse
from amci.scheduler.model import CatchUp, Overlap

#: Runs that a schedule can create beside executions of workflows.
RunKind = Literal[
    "compact",
    "contents",
    "expire",
    "export",
    "maintenance",
    "reconcile",
    "repair",
    "reprocess",
    "rewrite",
    "vacuum",
]
WindowKind = Literal[
    "EXPLICIT", "MOST_RECENT_DAY", "MOST_RECENT_WEEK", "CURRENT_MONTH", "PREVIOUS_MONTH", "ALL"
]

#: Bytes of a folder's name, with `schedule=` before it.
_LONGEST = 200
_BEGINNING = datetime(1969, 12, 1, tzinfo=UTC)


def _written(value: object) -> object:
    if isinstance(value, int | float):
        raise ValueError("should be a date or a date and time, such as 2026-11-01T06:00:00")  # noqa: TRY004
    return value


Moment = Annotated[datetime, BeforeValidator(_written)]


class WindowFile(Strict):
    """The events each execution looks at."""

    type: WindowKind = "MOST_RECENT_DAY"
    """AMC's `timeWindowType`."""
    start: str = ""
    """For `EXPLICIT`: `yyyy-MM-ddTHH:mm:ss` or a dynamic date such as `TODAY(-7)`, resolved at each fire."""
    end: str = ""
    """For `EXPLICIT`: the same; this moment is not part of the window."""
    time_zone: str = ""
    """IANA time zone of the window; the schedule's if empty."""

    @field_validator("time_zone")
    @classmethod
    def _known(cls, value: str) -> str:
        return _readable(time_zone, value) if value else value

    @model_validator(mode="after")
    def _both_ends(self) -> Self:
        is_explicit = self.type == "EXPLICIT"
        if is_explicit != bool(self.start) or is_explicit != bool(self.end):
            raise ValueError("start and end go with type EXPLICIT, both of them, and with no other type")
        return self


class ScheduleFile(Strict):
    """One file in config/schedules/."""

    schedule: str
    """Its id. For several tenants it is a template: each gets `<schedule>/<tenant>`."""
    description: str = ""
    """For people."""
    expression: str
    """`cron(0 9 ? * MON *)`, `rate(6 hours)`, `at(2026-11-01T06:00:00)`, or five fields of Unix cron."""
    time_zone: str = "UTC"
    """IANA time zone of the expression, of dynamic dates, and of start and end."""
    workflow: str = ""
    """The workflow to execute; this or `run`."""
    schedule_folder: str = ""
    """The `schedule=` folder that results go to, and so the part of their table's name; the schedule's id if empty. A
    rule that is moved here goes on with its old table by the name of its old folder, `adhoc` for one of the AWS
    solution."""
    run: RunKind | None = None
    """Upkeep to do instead, such as `compact`."""
    with_: dict[str, Any] = Field(default={}, alias="with")
    """Options of that upkeep, such as `older_than: 30d`."""
    tenants: tuple[str, ...] = ()
    """For these tenants."""
    tags: tuple[str, ...] = ()
    """For all tenants with one of these tags."""
    all_tenants: bool = False
    """For every tenant with an AMC instance."""
    window: WindowFile = WindowFile()
    """The events each execution looks at."""
    for_each: str = ""
    """A query of the lake: at each fire the workflow is executed once for each of its rows. Values of `parameters`, and
    `start` and `end` of the window, that are `:column` are the row's."""
    most: int = Field(default=100, ge=1, le=100_000)
    """At most so many rows of `for_each`; a fire whose query has more fails, and nothing is executed."""
    lag: PositiveDuration | None = None
    """For `for_each`: attribution lag that is added to the end of the window, as with `amci exec for-each --lag`."""
    parameters: dict[str, Any] = Field(default={})
    """Values of the workflow's parameters; dynamic dates are resolved at each fire."""
    values: dict[str, dict[str, Any]] = Field(default={})
    """Values of parameters that differ for some tenants: tenant → parameters."""
    definition: dict[str, Any] = Field(default={})
    """Ad hoc: AMC's workflow document with its `sqlQuery`, sent along and not saved in AMC under `workflow`."""
    more: dict[str, Any] = Field(default={})
    """Further fields of AMC's execution request, as AMC spells them, such as `ignoreDataGaps`."""
    catch_up: CatchUp = CatchUp.LAST
    """Fires missed while amci was not running: `none`, only the `last` one, or `all`."""
    overlap: Overlap = Overlap.QUEUE
    """A fire while the run of an earlier one has not ended: `queue`, `skip` or `allow`."""
    start: Moment | None = None
    """No fire before; local to `time_zone` unless it names an offset. Also the first fire of a `rate(…)`."""
    end: Moment | None = None
    """No fire at or after; written as `start` is."""
    jitter: Duration = timedelta(0)
    """Each fire's run waits for up to so long, so that many schedules do not start at once."""
    enabled: bool = True
    """`false` switches it off and keeps the file."""

    @model_validator(mode="before")
    @classmethod
    def _from_aws(cls, document: Any) -> Any:
        return aws_schedule.ours(document) if isinstance(document, Mapping) else document

    @field_validator("schedule")
    @classmethod
    def _one_folder(cls, value: str) -> str:
        if not value or "/" in value or value.startswith(".") or not value.isprintable():
            raise ValueError("should be a folder name: printable, no '/', not starting with '.'")
        if value == "adhoc":
            raise ValueError("'adhoc' stands for executions without a schedule; use another name")
        return value

    @field_validator("schedule_folder")
    @classmethod
    def _names_a_folder(cls, value: str) -> str:
        if "/" in value or value.startswith(".") or not value.isprintable() or len(value.encode()) > _LONGEST:
            raise ValueError(
                f"should be a folder name: printable, no '/', not starting with '.', at most {_LONGEST} bytes"
            )
        return value

    @field_validator("time_zone")
    @classmethod
    def _known(cls, value: str) -> str:
        return _readable(time_zone, value)

    @field_validator("expression")
    @classmethod
    def _parses(cls, value: str) -> str:
        return _readable(parse, value)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if mistakes := "; ".join(self._mistakes()):
            raise ValueError(mistakes)
        return self

    def _mistakes(self) -> Iterator[str]:
        """What does not go together."""
        if bool(self.workflow) == bool(self.run):
            yield "name a workflow or a run, one of the two"
        if self.workflow and self.with_:
            yield "with: goes with run, not with workflow"
        if self.workflow and not (self.tenants or self.tags or self.all_tenants):
            yield "a workflow is executed for somebody: give tenants, tags or all_tenants: true"
        if self.run and (given := self._only_for_workflows()):
            yield f"{', '.join(given)}: only with a workflow"
        if self.workflow and not self.for_each and (self.lag or "most" in self.model_fields_set):
            yield "most and lag: only with for_each"
        if self.for_each and not self.for_each.strip():
            yield "for_each: should be a query"
        if self.definition and not self.definition.get("sqlQuery"):
            yield "definition: should have a sqlQuery"
        if self.start_at and self.end_at and self.end_at <= self.start_at:
            yield "end: should be later than start"
        zone = time_zone(self.time_zone)
        if parse(self.expression, self.start_at).next_after(_BEGINNING, zone) is None:
            yield f"expression: {self.expression} never comes in {self.time_zone}"

    @property
    def start_at(self) -> datetime | None:
        """No fire before; aware, UTC."""
        return self._aware(self.start)

    @property
    def end_at(self) -> datetime | None:
        """No fire at or after; aware, UTC."""
        return self._aware(self.end)

    def _aware(self, moment: datetime | None) -> datetime | None:
        if moment is None:
            return None
        return (moment if moment.tzinfo else moment.replace(tzinfo=time_zone(self.time_zone))).astimezone(UTC)

    def _only_for_workflows(self) -> list[str]:
        """Fields given that mean something for executions only."""
        given = {
            "schedule_folder": self.schedule_folder,
            "window": self.window != WindowFile(),
            "parameters": self.parameters,
            "values": self.values,
            "definition": self.definition,
            "for_each": self.for_each,
            "most": "most" in self.model_fields_set,
            "lag": self.lag,
            "more": self.more,
        }
        return [name for name, value in given.items() if value]


def _readable(read: Callable[[str], object], text: str) -> str:
    """The text itself; raises ValueError, as pydantic wants it, if `read` raises UsageError."""
    try:
        read(text)
    except UsageError as error:
        raise ValueError(f"{error} ({error.hint})") from None
    return text
