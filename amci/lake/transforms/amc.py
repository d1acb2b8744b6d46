"""Light transform of AMC results: reads everything there is to know from the key."""

from __future__ import annotations

import re

from amci.kernel.errors import Unroutable
from amci.kernel.layout import ResultName
from amci.kernel.names import table_name
from amci.lake.datasets.objects import Placement, RawObject, Skip

# AMC's console runs each query under a throw-away workflow of this name (aws-solution 3.5).
_CONSOLE = re.compile(r"analytics-[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def amc_light_transform(obj: RawObject) -> Placement | Skip:
    """Place one AMC result: `{prefix}_{workflow}_{schedule}[_verN]`, by tenant and month of export.

    Tables, partitions and skipped files are those of the AWS solution (aws-solution 3.5), without
    its faults K-09, K-11, K-12 and K-13. Raises Unroutable for a file name AMC does not write.
    """
    if obj.tenant is None:
        raise Unroutable("an AMC result needs a tenant", hint="put {tenant} into the dataset's pattern")
    workflow_id, schedule = obj.field("workflow"), obj.field("schedule")
    if _CONSOLE.fullmatch(workflow_id):
        return Skip("result of a query run in the AMC console")
    if workflow_id in obj.dataset.exclude_workflows:
        return Skip(f"workflow {workflow_id} is excluded in the dataset's configuration")
    name = ResultName.parse(obj.field("file"))
    modified = ("file_last_modified", f"{obj.modified_at:%Y-%m-%dT%H-%M-%S}")
    month = (
        ("customer_hash", obj.tenant.hash_value),
        ("export_year", f"{name.export_time:%Y}"),
        ("export_month", f"{name.export_time:%m}"),
    )
    is_aws = obj.dataset.compat == "aws"
    return Placement(
        table=table_name(
            obj.tenant.table_prefix(workflow_id), workflow_id, schedule, name.query_version or ""
        ),
        partition=(*month, modified) if is_aws else month,
        pre_stage_partition=() if is_aws else (modified,),
        stem=name.stem,
        workflow_id=workflow_id,
        schedule=schedule,
        export_time=name.export_time,
    )
