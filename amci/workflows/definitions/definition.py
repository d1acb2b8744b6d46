"""A workflow: SQL for AMC with its parameters, whom it is for, and how AMC spells it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from amci.kernel.config import Strict
from amci.kernel.errors import UsageError
from amci.kernel.names import did_you_mean
from amci.tenants.model import Tenant
from amci.workflows.amc.model import TimeWindow, WindowType
from amci.workflows.definitions import aws_names, data_types, sql
from amci.workflows.definitions.data_types import ParameterTypeField

#: What AMC allows in the id of a workflow (amc-api 2.2).
_ID = re.compile(r"[A-Za-z0-9._-]+")


class _AsAmc(Strict):
    """A piece of configuration whose keys may also be spelled as AMC does."""

    @model_validator(mode="before")
    @classmethod
    def _spelled(cls, document: Any) -> Any:
        return aws_names.ours(document, cls.model_fields) if isinstance(document, Mapping) else document


class InputParameter(_AsAmc):
    """A parameter of a workflow: the SQL says CUSTOM_PARAMETER('name')."""

    name: str = Field(min_length=1)
    """Its name, as the SQL has it."""
    data_type: ParameterTypeField
    """`STRING`, `LONG`, `DATE` …, or `{type: ARRAY, elementDataType: STRING}`."""
    column_type: Literal["DIMENSION", "METRIC"] = "DIMENSION"
    """AMC's `columnType`."""
    default_value: Any = None
    """Value if nothing else gives one; dates may be dynamic. Written as `null`, the parameter may stay empty."""
    description: str = ""
    """What it is for."""
    display_name: str = ""
    """AMC's `displayName`."""

    @field_validator("default_value")
    @classmethod
    def _fits(cls, value: Any, info: ValidationInfo) -> Any:
        wanted = info.data.get("data_type")
        return value if value is None or wanted is None else data_types.converted(value, wanted)

    @property
    def is_optional(self) -> bool:
        """Whether an execution may leave it without a value; AMC then has NULL."""
        return self.default_value is None and "default_value" in self.model_fields_set


class WindowSpec(_AsAmc):
    """The time window of an execution."""

    type: WindowType | None = None
    """`MOST_RECENT_DAY`, `MOST_RECENT_WEEK`, `CURRENT_MONTH`, `PREVIOUS_MONTH`, `ALL`, or `EXPLICIT`."""
    start: str | None = None
    """`yyyy-MM-ddTHH:mm:ss`, `yyyy-MM-dd`, or a dynamic date such as `TODAY(-7)`; local to `time_zone`."""
    end: str | None = None
    """Exclusive; as `start`."""
    time_zone: str = "UTC"
    """IANA name; also sets the day and month boundaries of relative windows."""

    def value(self) -> TimeWindow:
        """As a value; if the type is left out, start or end mean EXPLICIT."""
        kind = self.type or (WindowType.EXPLICIT if self.start or self.end else WindowType.MOST_RECENT_DAY)
        return TimeWindow(type=kind, start=self.start, end=self.end, time_zone=self.time_zone)


class Workflow(_AsAmc):
    """One file in config/workflows/; AMC's own JSON and the AWS solution's requests are taken, too."""

    workflow_id: str
    """Its id in AMC; the file's name if left out."""
    version: int = Field(default=1, ge=1)
    """Counted up by people; amci shows which version is in AMC."""
    sql: str
    """AMC SQL; if left out, it is the file `<name>.sql` beside this one."""
    description: str = ""
    """What it is for."""
    tags: tuple[str, ...] = ()
    """Free labels."""
    tenants: tuple[str, ...] = ()
    """Whom it is for, by id."""
    tenant_tags: tuple[str, ...] = ()
    """Whom it is for, by the tenants' tags."""
    all_tenants: bool = True
    """Whether it is for every tenant; only if `tenants` and `tenant_tags` name none."""
    input_parameters: tuple[InputParameter, ...] = ()
    """Its parameters."""
    window: WindowSpec | None = None
    """Time window of executions that name none."""
    values: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Values of parameters by tenant, in place of the defaults."""
    output_format: dict[str, Any] | str | None = None
    """AMC's `outputFormat`: separatorCharacter, quoteCharacter, escapeCharacter."""
    filtered_metrics_discriminator_column: str = ""
    """Output column that says which rows AMC's privacy rules have emptied."""
    privacy_filtering_behavior: Literal["REMOVE_ROWS", "REMOVE_VALUES"] | None = None
    """What AMC removes if too few users are behind a row."""
    distinct_user_count_column: str = ""
    """Output column with the number of users behind a row."""
    filtered_reason_column: str = ""
    """Output column with the reason of a removal."""
    input_schema: str = ""
    """Schema in which AMC looks for sources without one."""
    output_columns: tuple[dict[str, Any], ...] = ()
    """AMC's `outputColumns`, as AMC spells them; AMC refuses the SQL if it gives others."""
    more: dict[str, Any] = Field(default_factory=dict)
    """Further fields of AMC's, as AMC spells them."""

    @model_validator(mode="before")
    @classmethod
    def _spelled(cls, document: Any) -> Any:
        if not isinstance(document, Mapping):
            return document
        return aws_names.ours(aws_names.definition(document), cls.model_fields)

    @field_validator("workflow_id")
    @classmethod
    def _is_an_id(cls, value: str) -> str:
        if not _ID.fullmatch(value) or value.startswith("."):
            raise ValueError("should have letters, digits, '.', '-' and '_' only, and not begin with '.'")
        return value

    @field_validator("input_parameters")
    @classmethod
    def _are_different(cls, value: tuple[InputParameter, ...]) -> tuple[InputParameter, ...]:
        names = [parameter.name for parameter in value]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"'{twice[0]}' stands twice")
        return value

    @field_validator("values")
    @classmethod
    def _fit(cls, value: dict[str, dict[str, Any]], info: ValidationInfo) -> dict[str, dict[str, Any]]:
        if "input_parameters" not in info.data:
            return value
        known = {parameter.name: parameter for parameter in info.data["input_parameters"]}
        return {tenant: _typed(given, known, tenant) for tenant, given in value.items()}

    @model_validator(mode="after")
    def _is_for_somebody_or_all(self) -> Workflow:
        if "all_tenants" in self.model_fields_set and self.all_tenants and (self.tenants or self.tenant_tags):
            raise ValueError("should name tenants or tenant_tags, or say all_tenants, not both")
        return self

    def is_for(self, tenant: Tenant) -> bool:
        """Whether the tenant should have it."""
        if self.tenants or self.tenant_tags:
            return tenant.tenant in self.tenants or not set(self.tenant_tags).isdisjoint(tenant.tags)
        return self.all_tenants

    @property
    def time_window(self) -> TimeWindow:
        """The window of executions that name none."""
        return (self.window or WindowSpec()).value()

    def defaults(self, tenant: Tenant) -> dict[str, Any]:
        """Values of the parameters of this tenant, typed, dates still dynamic; those without one are left out.

        The tenant's own go before those the workflow has for it, and these before the declared defaults. Raises
        UsageError if the tenant's do not fit.
        """
        found: dict[str, Any] = {}
        for parameter in self.input_parameters:
            own = tenant.values.get(parameter.name)
            if own is not None:
                found[parameter.name] = checked(parameter, own, f"tenant {tenant.tenant}: ")
                continue
            value = self.values.get(tenant.tenant, {}).get(parameter.name, parameter.default_value)
            if value is not None:
                found[parameter.name] = value
        return found


def amc_definition(workflow: Workflow, tenant: Tenant) -> dict[str, Any]:
    """The workflow as AMC spells it, with this tenant's defaults; raises UsageError.

    AMC takes no dynamic date as a default, so it is left out: amci sends values with each execution.
    """
    fields = {
        "workflowId": workflow.workflow_id,
        "sqlQuery": sql.as_sent(workflow.sql),
        "inputParameters": amc_parameters(workflow, tenant),
        "outputFormat": workflow.output_format,
        "filteredMetricsDiscriminatorColumn": workflow.filtered_metrics_discriminator_column,
        "privacyFilteringBehavior": workflow.privacy_filtering_behavior,
        "distinctUserCountColumn": workflow.distinct_user_count_column,
        "filteredReasonColumn": workflow.filtered_reason_column,
        "inputSchema": workflow.input_schema,
        "outputColumns": list(workflow.output_columns),
    }
    return {name: value for name, value in fields.items() if value} | workflow.more


def amc_parameters(workflow: Workflow, tenant: Tenant | None = None) -> list[dict[str, Any]]:
    """The parameters as AMC spells them, with this tenant's defaults or the declared ones; raises UsageError."""
    declared = {parameter.name: parameter.default_value for parameter in workflow.input_parameters}
    defaults = workflow.defaults(tenant) if tenant else declared
    return [
        _amc_parameter(parameter, defaults.get(parameter.name)) for parameter in workflow.input_parameters
    ]


def _amc_parameter(parameter: InputParameter, default: Any) -> dict[str, Any]:
    fields = {
        "name": parameter.name,
        "dataType": parameter.data_type.as_amc(),
        "columnType": parameter.column_type,
        "description": parameter.description,
        "displayName": parameter.display_name,
    }
    found = {name: value for name, value in fields.items() if value}
    if default is not None and not data_types.is_dynamic(default, parameter.data_type):
        found["defaultValue"] = default
    return found


def checked(parameter: InputParameter, value: Any, where: str = "") -> Any:
    """A value as the parameter takes it, dates still dynamic; raises UsageError."""
    try:
        return data_types.converted(value, parameter.data_type)
    except ValueError as error:
        raise UsageError(
            f"{where}parameter {parameter.name}: {error}", hint="give it another value"
        ) from None


def unknown_parameter(name: str, known: Iterable[str]) -> str:
    """The sentence for a name that no parameter has."""
    return f"no parameter '{name}'{did_you_mean(name, known)}"


def _typed(given: Mapping[str, Any], known: Mapping[str, InputParameter], tenant: str) -> dict[str, Any]:
    if unknown := [name for name in given if name not in known]:
        raise ValueError(f"{tenant}: {unknown_parameter(unknown[0], known)}")
    try:
        return {name: checked(known[name], value) for name, value in given.items()}
    except UsageError as error:
        raise ValueError(f"{tenant}: {error}") from None
