"""A client of a sandbox in this process, which calls it as a client of AMC would."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from amci.kernel.testing import FakeClock
from amci.sandbox.options import DEFAULT_INSTANCE, SandboxInstance, SandboxOptions
from amci.sandbox.service import Sandbox

HOST = "https://advertising-api.amazon.com"
TRIVIAL = "SELECT a FROM (VALUES (1)) AS v(a)"
#: Few events, so that they are made quickly.
SMALL: dict[str, Any] = {"scale": 0.001, "days": 5}


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def details(self) -> str:
        """AMC's words for what is wrong."""
        return str(self.json["details"])


class Caller:
    """A client of a sandbox in this process."""

    def __init__(self, directory: Path, clock: FakeClock, **options: Any) -> None:
        self.clock = clock
        self.directory = directory
        self.sandbox = Sandbox(directory, clock, SandboxOptions(**SMALL | options))
        self.instance: SandboxInstance = options.get("instances", (DEFAULT_INSTANCE,))[0]
        self.headers: dict[str, str] = {}

    def close(self) -> None:
        self.sandbox.close()

    def send(self, method: str, url: str, body: Any = None, **headers: str) -> Answer:
        """A request with exactly these headers; `url` may be a path."""
        content = (
            body.encode() if isinstance(body, str) else b"" if body is None else json.dumps(body).encode()
        )
        status, answered, said = self.sandbox.respond(
            method, url if "://" in url else HOST + url, headers, content
        )
        return Answer(status, dict(answered), said)

    def log_in(self, **fields: str) -> Answer:
        form = {"grant_type": "refresh_token", "refresh_token": "r", "client_id": "c", "client_secret": "s"}
        text = "&".join(f"{name}={value}" for name, value in (form | fields).items() if value)
        answer = self.send("POST", "/auth/o2/token", text)
        if answer.status == 200:
            self.headers = {
                "authorization": f"Bearer {answer.json['access_token']}",
                "amazon-advertising-api-clientid": (form | fields)["client_id"],
                "amazon-advertising-api-advertiserid": self.instance.entity_id,
                "amazon-advertising-api-marketplaceid": self.instance.marketplace_id,
            }
        return answer

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """A request of a client that has logged in; a path without /amc is one of the reporting API."""
        if not self.headers:
            self.log_in()
        full = (
            path if path.startswith(("/amc", "http")) else f"/amc/reporting/{self.instance.instance_id}{path}"
        )
        return self.send(method, full, body, **self.headers | headers)

    def workflow(self, workflow_id: str = "reach", sql: str = TRIVIAL, **more: Any) -> Answer:
        return self.ask("POST", "/workflows", {"workflowId": workflow_id, "sqlQuery": sql, **more})

    def execute(self, **request: Any) -> str:
        """The id of a new execution, of `reach` where nothing else is said."""
        asked = (
            request
            if {"workflow", "workflowId", "sqlQuery"} & request.keys()
            else {"workflowId": "reach", **request}
        )
        answer = self.ask("POST", "/workflowExecutions", asked)
        assert answer.status == 200, answer.content
        return str(answer.json["workflowExecutionId"])

    def status(self, execution: str) -> str:
        return str(self.execution(execution)["status"])

    def execution(self, execution: str) -> dict[str, Any]:
        answer = self.ask("GET", f"/workflowExecutions/{execution}")
        assert answer.status == 200, answer.content
        return dict(answer.json)

    def download(self, execution: str) -> str:
        links = self.ask("GET", f"/workflowExecutions/{execution}/downloadUrls")
        assert links.status == 200, links.content
        answer = self.send("GET", links.json["downloadUrls"][0])
        assert answer.status == 200, answer.content
        return answer.content.decode()


#: Opens sandboxes, see the fixture `calling`.
Calling = Callable[..., Caller]
