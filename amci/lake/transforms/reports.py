"""Light transform of Amazon Ads and Selling Partner reports."""

from __future__ import annotations

import re

from amci.kernel.errors import Unroutable
from amci.kernel.names import table_name
from amci.lake.datasets.objects import Placement, RawObject

_REPORT = re.compile(r"(?P<stem>.+?)(?:\.json)?(?:\.gz|\.zst)?", re.IGNORECASE)


def reports_light_transform(obj: RawObject) -> Placement:
    """Place one report in the table its folder names (aws-solution 3.6), without the fault K-28.

    Raises Unroutable for a file that is neither `.json` nor compressed.
    """
    file = obj.field("file")
    if not file.lower().endswith((".json", ".gz", ".zst")):
        raise Unroutable("a report is a .json, .json.gz or .gz file")
    match = _REPORT.fullmatch(file)
    return Placement(table=table_name(obj.field("table")), stem=match["stem"] if match else file)
