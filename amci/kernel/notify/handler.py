"""The run kind `notify`: sends a notice to a webhook or a mail server, with retries."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from amci.kernel.clock import Clock
from amci.kernel.notify import mail
from amci.kernel.notify.notice import NOTIFY, Notice, TargetKind
from amci.kernel.notify.notifier import Notifier
from amci.kernel.run import Done, Outcome, Run
from amci.kernel.worker import SingleHandler


@dataclass(frozen=True, slots=True)
class NotifyHandler(SingleHandler):
    """Sends each run's notice to its target; a notice that cannot be sent is a FAILED run, and affects no other."""

    notifier: Notifier
    secrets: Callable[[str], str]  #: the secret with this name; raises AuthError
    clock: Clock
    tls: ssl.SSLContext | None = None  #: which certificates of mail servers are trusted
    timeout: timedelta = timedelta(seconds=10)
    kind: ClassVar[str] = NOTIFY
    threads: ClassVar[int] = 2

    def outcome(self, run: Run) -> Outcome:
        """Send one notice; raises RemoteError if the target does not take it, AuthError without its secret."""
        target = self.notifier.target(run.payload["target"])
        notice = Notice.of(run.payload["notice"])
        key, at = run.idempotency_key, self.clock.now()
        secret = self.secrets(target.secret) if target.secret else ""
        if target.kind is TargetKind.WEBHOOK:
            from amci.kernel.notify import webhook

            webhook.post(target, notice, key=key, secret=secret, at=at, timeout=self.timeout)
        else:
            mail.send(target, notice, key=key, password=secret, at=at, timeout=self.timeout, tls=self.tls)
        return Done()
