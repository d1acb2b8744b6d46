"""The run kind `notify`: tells a webhook or a mail server, as often as it takes."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from amci.kernel.clock import Clock
from amci.kernel.errors import AmciError, StorageError
from amci.kernel.notify import mail, webhook
from amci.kernel.notify.notifier import NOTIFY, Notice, Notifier, TargetKind
from amci.kernel.run import Done, Failed, Outcome, Run

__all__ = ["NOTIFY", "NotifyHandler"]


@dataclass(frozen=True, slots=True)
class NotifyHandler:
    """Tells each run's target; one that fails is FAILED and to be seen, and fails no other."""

    notifier: Notifier
    secrets: Callable[[str], str]  #: the secret with this name; raises AuthError
    clock: Clock
    tls: ssl.SSLContext | None = None  #: which certificates of mail servers are trusted
    timeout: timedelta = timedelta(seconds=10)
    kind: str = NOTIFY
    batch: int = 1
    threads: int = 2

    def handle(self, runs: Sequence[Run]) -> Mapping[int, Outcome]:
        """Tell them: run_id → outcome."""
        return {run.run_id: self._outcome(run) for run in runs}

    def _outcome(self, run: Run) -> Outcome:
        try:
            self._tell(run)
        except StorageError:
            raise
        except AmciError as error:
            return Failed(error)
        return Done()

    def _tell(self, run: Run) -> None:
        target = self.notifier.target(run.payload["target"])
        notice = Notice.of(run.payload["notice"])
        key, at = run.idempotency_key, self.clock.now()
        secret = self.secrets(target.secret) if target.secret else ""
        if target.kind is TargetKind.WEBHOOK:
            webhook.post(target, notice, key=key, secret=secret, at=at, timeout=self.timeout)
        else:
            mail.send(target, notice, key=key, password=secret, at=at, timeout=self.timeout, tls=self.tls)
