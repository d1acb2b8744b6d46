"""E-mail notices: one message to a mail server; a password never crosses a network unencrypted."""

from __future__ import annotations

import hashlib
import ipaddress
import smtplib
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime

from amci.kernel.errors import AuthError, Refused, RemoteError, Unavailable
from amci.kernel.notify.notice import Notice, NotifyTarget

_PORTS = {"smtp": 587, "smtps": 465}
#: So many times the timeout of one read may the whole exchange last.
_EXCHANGE = 3
_PERMANENT = 500  #: replies from here on are final (RFC 5321 4.2.1)


def send(
    target: NotifyTarget,
    notice: Notice,
    *,
    key: str,
    password: str,
    at: datetime,
    timeout: timedelta,
    tls: ssl.SSLContext | None = None,
) -> None:
    """Send the notice to every recipient; raises Unavailable, Refused or AuthError.

    `key` becomes the Message-ID, the same for every attempt. `tls`: which certificates are trusted; those of this
    machine by default.
    """
    with _translated(target), _connected(target, timeout, tls or ssl.create_default_context()) as server:
        if password:
            _login(server, target, password)
        refused = server.send_message(message(target, notice, key=key, at=at))
    if refused:
        raise _recipients_refused(target, len(refused))


def message(target: NotifyTarget, notice: Notice, *, key: str, at: datetime) -> EmailMessage:
    """The notice as a mail."""
    mail = EmailMessage()
    mail["Subject"] = notice.subject
    mail["From"] = target.sender
    mail["To"] = ", ".join(target.to)
    mail["Date"] = format_datetime(at)
    mail["Message-ID"] = f"<{hashlib.sha256(key.encode()).hexdigest()[:32]}@amci>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(notice.body or notice.subject)
    return mail


class _Watched(smtplib.SMTP):
    """A connection that is cut off if it lasts too long: smtplib's timeout is for each read alone."""

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        connected: socket.socket = super()._get_socket(host, port, timeout)  # type: ignore[misc]
        # A handle of its own, for encryption takes the first one over.
        self._handle = connected.dup()
        self._timer = threading.Timer(_EXCHANGE * timeout, _hang_up, [self._handle])
        self._timer.daemon = True
        self._timer.start()
        return connected

    def close(self) -> None:
        """Hang up."""
        super().close()
        if hasattr(self, "_timer"):
            self._timer.cancel()
            self._handle.close()


class _WatchedTls(smtplib.SMTP_SSL, _Watched):
    """The same, encrypted from the beginning."""


def _hang_up(connected: socket.socket) -> None:
    with suppress(OSError), connected:
        connected.shutdown(socket.SHUT_RDWR)


@contextmanager
def _connected(target: NotifyTarget, timeout: timedelta, tls: ssl.SSLContext) -> Iterator[smtplib.SMTP]:
    scheme, seconds = target.address.scheme, timeout.total_seconds()
    port = target.address.port or _PORTS[scheme]
    server = (
        _WatchedTls(target.host, port, timeout=seconds, context=tls)
        if scheme == "smtps"
        else _Watched(target.host, port, timeout=seconds)
    )
    try:
        if scheme == "smtp":
            _encrypt(server, target, tls)
        yield server
        # The mail is out: an error on closing must not send it again.
        with suppress(smtplib.SMTPException, OSError):
            server.quit()
    finally:
        server.close()


def _encrypt(server: smtplib.SMTP, target: NotifyTarget, tls: ssl.SSLContext) -> None:
    server.ehlo_or_helo_if_needed()
    if server.has_extn("starttls"):
        server.starttls(context=tls)
    elif target.secret and not _is_this_machine(target.host):
        raise Refused(
            0,
            f"mail server {target.host} offers no STARTTLS, so the password was not sent",
            hint="use smtps://, or a server that offers STARTTLS",
        )


def _login(server: smtplib.SMTP, target: NotifyTarget, password: str) -> None:
    hint = f"store the password again with `amci auth set --secret {target.secret}`"
    try:
        server.login(target.user or target.sender, password)
    except smtplib.SMTPAuthenticationError as error:
        if error.smtp_code < _PERMANENT:
            raise Unavailable(f"mail server {target.host} cannot check the login now") from error
        raise AuthError(f"mail server {target.host} refused the login", hint=hint) from error
    except smtplib.SMTPNotSupportedError as error:
        raise Refused(
            0, f"mail server {target.host} offers no login", hint="take `secret` out, or use another port"
        ) from error
    except UnicodeEncodeError:  # its text would hold the password
        raise AuthError("the password has letters that a mail login does not take", hint=hint) from None


@contextmanager
def _translated(target: NotifyTarget) -> Iterator[None]:
    """Raise the mail server's errors as amci's; its own texts may repeat addresses."""
    try:
        yield
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _ in error.recipients.values()]
        if any(code < _PERMANENT for code in codes):
            raise Unavailable(f"mail server {target.host} takes no mail for now ({min(codes)})") from error
        raise _recipients_refused(target, len(codes)) from error
    except smtplib.SMTPNotSupportedError as error:
        raise Refused(0, f"mail server {target.host} takes only addresses in plain letters") from error
    except smtplib.SMTPResponseException as error:
        raise _refusal(target, error.smtp_code) from error
    except ssl.SSLCertVerificationError as error:
        raise Refused(
            0,
            f"the certificate of mail server {target.host} does not hold",
            hint="use the name the certificate is for, and one this machine trusts",
        ) from error
    except (smtplib.SMTPException, OSError) as error:
        raise Unavailable(
            f"mail server {target.host} did not answer ({type(error).__name__})", hint="it is tried again"
        ) from error


def _refusal(target: NotifyTarget, code: int) -> RemoteError:
    if code < _PERMANENT:
        return Unavailable(f"mail server {target.host} answered {code}", hint="it is tried again")
    return Refused(
        code, f"mail server {target.host} answered {code}", hint="check `sender`, then `amci redrive`"
    )


def _recipients_refused(target: NotifyTarget, count: int) -> Refused:
    return Refused(
        0,
        f"mail server {target.host} refused {count} of {len(target.to)} recipients",
        hint="check the addresses in `notify.to`",
    )


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
