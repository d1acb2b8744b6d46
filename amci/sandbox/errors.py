"""AMC's errors: statuses and, as far as they are known, its own words (amc-api 1.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amci.kernel.errors import AmciError

if TYPE_CHECKING:
    from amci.sandbox.options import SandboxInstance

UNAUTHORIZED = "Unauthorized request"
TERMS = "Terms and conditions must be accepted to continue"


class Refusal(AmciError):
    """A request that AMC answers with an error."""

    def __init__(self, status: int, details: str, *, error: str = "") -> None:
        super().__init__(details)
        self.status = status  #: HTTP
        self.details = details
        self.error = error  #: Login with Amazon's own code, such as `invalid_grant`


class NoAudience(AmciError):
    """A query that cannot make an audience; the text is AMC's reason."""


class QueryFailed(AmciError):
    """A compiled query that failed while it ran."""


def bad(details: str) -> Refusal:
    """400, with the reason."""
    return Refusal(400, details)


def missing(what: str, name: str) -> Refusal:
    """404 for an id that does not exist."""
    return Refusal(404, f"{what} with ID {name} does not exist.")


def duplicate(what: str, name: str) -> Refusal:
    """400 for an id that is taken; clients compare this text exactly."""
    return Refusal(400, f"{what} with ID {name} already exists.")


def not_compiled(workflow_id: str, why: str) -> str:
    """AMC's words for a workflow that does not compile."""
    return f"Was unable to compile workflow {workflow_id} because it was found to be invalid: {why}"


def not_downloadable(workflow_execution_id: str) -> Refusal:
    """404 while there is no result; the text is AMC's, the status its sister API's."""
    return Refusal(404, f"Execution with ID {workflow_execution_id} is unavailable for download.")


def not_ready(known: SandboxInstance) -> Refusal:
    """400 while an instance is being created."""
    return bad(f"Instance {known.instance_id} is not ready: its creation status is {known.creation_status}.")


def check_ready(known: SandboxInstance) -> None:
    """Raise Refusal unless AMC's terms were accepted for an instance, and it has been created."""
    if not known.has_accepted_terms:
        raise Refusal(401, TERMS)
    if known.creation_status != "COMPLETED":
        raise not_ready(known)


def timed_out(seconds: int) -> str:
    """The reason of an execution that ran longer than its request allows."""
    return f"Execution timed out after {seconds} seconds."


def needs_synthetic_data(workflow_id: str) -> str:
    """The reason of an execution that does not require synthetic data, in an instance of type SANDBOX."""
    return not_compiled(workflow_id, "requireSyntheticData must be true in a sandbox instance.")
