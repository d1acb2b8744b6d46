"""Servers of notices that send a byte now and then, for ever."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from amci.kernel.errors import Unavailable
from amci.kernel.notify import mail, webhook
from amci.kernel.notify.notice import Notice, NotifyTarget, TargetKind

from ...raw_server import raw_server, slowly

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
NOTICE = Notice(event="failed", subject="it failed", at=AT)
TIMEOUT = timedelta(seconds=0.2)


@pytest.mark.parametrize(
    ("head", "drip", "end"),
    [
        (b"HTTP/1.1 200 O", b"K", b"\r\ncontent-length: 0\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\n", b"x:y\r\n", b"\r\ncontent-length: 0\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nx: ", b"y", b"\r\ncontent-length: 0\r\n\r\n"),
    ],
)
def test_a_webhook_may_not_be_slow_for_ever(head: bytes, drip: bytes, end: bytes) -> None:
    with raw_server(lambda _: [head, *slowly(drip), end]) as server:
        target = NotifyTarget(kind=TargetKind.WEBHOOK, url=server.url)
        with pytest.raises(Unavailable, match="did not answer"):
            webhook.post(target, NOTICE, key="k", secret="", at=AT, timeout=TIMEOUT)


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
@pytest.mark.parametrize(
    ("head", "drip"), [(b"220 ", b"x"), (b"", b"220-x\r\n"), (b"\x16\x03\x03\x40\x00", b"x")]
)
def test_a_mail_server_may_not_be_slow_for_ever(scheme: str, head: bytes, drip: bytes) -> None:
    answer = [head, *slowly(drip), b"\r\n"]
    with raw_server(lambda _: answer, greeting=True) as server:
        target = NotifyTarget(
            kind=TargetKind.SMTP,
            url=f"{scheme}://127.0.0.1:{server.port}",
            sender="a@b.example",
            to=("c@d.example",),
        )
        with pytest.raises(Unavailable):
            mail.send(target, NOTICE, key="k", password="", at=AT, timeout=TIMEOUT)
        assert not server.ended or scheme == "smtps"
