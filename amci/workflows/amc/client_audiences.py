"""Audiences in AMC: of the people a query finds, and of those who are like them (amc-api 2.4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from amci.kernel import log
from amci.kernel.clock import timestamp
from amci.kernel.errors import OutcomeUnknown, Refused, RemoteError
from amci.workflows.amazon.answers import Answer
from amci.workflows.amc import audience_wire as wire
from amci.workflows.amc.audience_model import Audience, AudienceRequest, AudienceStatus
from amci.workflows.amc.client_base import AmcClientBase, items, made, segment

_AUDIENCES = "/amc/audiences/query"
_LOOKALIKES = "/amc/audiences/lookalike"
_PAGE: Mapping[str, str] = {"maxResults": "100"}
_NOT_FOUND = 404

_log = log.get("amc")


class Audiences(AmcClientBase):
    """What concerns the audiences of the tenant's instance."""

    def audiences(self) -> Iterator[Audience]:
        """All audiences; one that amci cannot read is passed over and noted in the log."""

        def page(asked: Mapping[str, str]) -> Answer:
            return wire.with_list(self._ask("GET", _AUDIENCES, params=asked))

        for item in items(page, wire.LIST, ("audienceExecutionId",), _PAGE):
            try:
                yield wire.audience(item)
            except Refused as error:
                _log.warning("audience passed over", tenant=self._tenant.tenant, says=str(error))

    def audience(self, audience_id: str) -> Audience | None:
        """One audience as it stands; None if AMC does not know it (any more)."""
        found = self._known("GET", audience_id)
        return wire.audience(found.document) if found else None

    def create_audience(self, request: AudienceRequest) -> str:
        """Ask for a new audience, which AMC then makes; returns its id. Sent once.

        AMC makes two audiences of two equal requests. So if no answer comes, the audience it may have made is
        looked for and taken; OutcomeUnknown if AMC does not show it.
        """
        said = wire.body(request)
        path, accept = (_LOOKALIKES, wire.MADE_ALIKE) if request.reach else (_AUDIENCES, wire.MADE)
        before = {found.audience_id for found in self.audiences() if wire.is_named(found, request.name)}
        try:
            answer = self._ask("POST", path, accept, body=said, is_repeatable=False)
            return made(answer, wire.started)
        except OutcomeUnknown as error:
            if (found := self._made_since(before, request)) is None:
                raise OutcomeUnknown(
                    f"{error}; it shows no such audience yet",
                    hint="look with `amci audience list` in some minutes, before you ask for it again",
                ) from error
            return found

    def update_audience(self, audience_id: str, request: AudienceRequest) -> None:
        """Have a failed audience made again; Refused if it has not failed, 404 if there is none. Sent once.

        If no answer comes, it is done if the audience has not failed any more, else OutcomeUnknown.
        """
        try:
            path = self._audience(audience_id)
            self._ask("PUT", path, body=wire.change_body(request), is_repeatable=False)
        except OutcomeUnknown:
            found = self.audience(audience_id)
            if found is None or found.status is AudienceStatus.FAILED:
                raise

    def delete_audience(self, audience_id: str) -> bool:
        """Delete a failed audience, Refused if it has not failed; False if there was none."""
        return self._known("DELETE", audience_id) is not None

    def _made_since(self, before: set[str], request: AudienceRequest) -> str | None:
        """The oldest audience that is what was asked for, and was not there before."""
        try:
            alike = [found for found in self.audiences() if wire.is_like(request, found)]
        except RemoteError as error:
            _log.warning("audiences not listed", tenant=self._tenant.tenant, says=str(error))
            return None
        new = [found for found in alike if found.audience_id not in before]
        return min(new, key=_created).audience_id if new else None

    def _known(self, method: str, audience_id: str) -> Answer | None:
        try:
            return self._ask(method, self._audience(audience_id))
        except Refused as error:
            if error.status == _NOT_FOUND:
                return None
            raise

    def _ask(self, method: str, path: str, accept: str = wire.NEWEST, **more: Any) -> Answer:
        """In the name of the tenant's AMC account and instance (amc-api 1.3)."""
        headers = {
            "Amazon-Advertising-API-EntityId": self._needed("advertiser_id"),
            "Amazon-Marketing-Cloud-Audience-InstanceId": self._needed("instance_id"),
            "Accept": accept,
        }
        return self._caller.call(method, path, headers, **more)

    def _audience(self, audience_id: str) -> str:
        return f"{_AUDIENCES}/{segment(audience_id)}"


def _created(found: Audience) -> str:
    return timestamp(found.created_at) if found.created_at else ""
