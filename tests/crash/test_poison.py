"""A file that kills the process cannot do it for ever, and keeps nobody else out."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from amci.kernel.runs import MOST_EXPIRIES

POISON = "adtech/d/t/05.csv"


@pytest.mark.parametrize("stage", ["light", "heavy"])
def test_a_file_that_kills_the_process_ends_in_quarantine_and_the_others_in_the_lake(
    site: Any, amci: Any, stage: str
) -> None:
    site.dataset("d", **{stage: "poisoned"})
    site.transform(
        "poisoned.py",
        "import os, signal\n"
        "def poisoned(rows, obj):\n"
        f"    if obj.key == {POISON!r}:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return rows\n",
    )
    for n in range(10):
        site.put(f"adtech/d/t/{n:02}.csv", f"v\n{n}\n")
    codes = [amci("drain", "--home", str(site.workspace.home))[0] for _ in range(MOST_EXPIRIES + 1)]
    assert codes == [-signal.SIGKILL] * MOST_EXPIRIES + [0]
    assert [v for (v,) in site.query("SELECT v FROM adtech_d.t ORDER BY v")] == [0, 1, 2, 3, 4, 6, 7, 8, 9]
    assert list(site.quarantined()) == [POISON]
    assert "abandoned" in site.quarantined()[POISON]
    (failed,) = [run for run in site.runs() if run.status == "FAILED"]
    assert (failed.kind, failed.expiries) == (stage, MOST_EXPIRIES)
