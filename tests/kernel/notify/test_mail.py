from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from amci.kernel.errors import AmciError, AuthError, Refused, Unavailable
from amci.kernel.notify import mail
from amci.kernel.notify.notice import Notice, NotifyTarget, TargetKind

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
NOTICE = Notice(
    event="failed", subject="acme failed – höchst", body="Grüße\nline two", at=AT, tenant_id="acme"
)
PASSWORD = "planted.password"  # noqa: S105 - of a server that ends with the test
ENTRY = "mail"  # of `amci auth`


class Box:
    """What a real mail server took, and how it answers."""

    def __init__(self) -> None:
        self.mails: list[tuple[list[str], EmailMessage]] = []
        self.answers: dict[str, str] = {}  #: recipient → refusal
        self.data_answer = "250 OK"
        self.logins: list[tuple[str, str, bool]] = []

    async def handle_RCPT(  # noqa: N802 - the name is aiosmtpd's
        self, _s: Any, _c: Any, envelope: Envelope, address: str, _o: Any
    ) -> str:
        if address in self.answers:
            return self.answers[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _s: Any, _c: Any, envelope: Envelope) -> str:  # noqa: N802 - as above
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        if self.data_answer.startswith("250"):
            self.mails.append((list(envelope.rcpt_tos), mail))
        return self.data_answer

    def check(self, _server: Any, session: Any, _e: Any, _m: Any, given: Any) -> AuthResult:
        assert isinstance(given, LoginPassword)
        self.logins.append((given.login.decode(), given.password.decode(), bool(session.ssl)))
        is_right = given.password.decode() == PASSWORD
        return AuthResult(success=is_right, handled=is_right)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 with its key, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2120, 1, 1, tzinfo=UTC))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture
def box() -> Box:
    return Box()


Serve = Callable[..., int]


@pytest.fixture
def serve(box: Box, certificate: Path) -> Iterator[Serve]:
    """Starts a mail server on a free port and returns that."""
    running: list[Controller] = []

    def start(*, offers_tls: bool = False, offers_login: bool = False) -> int:
        options: dict[str, Any] = {}
        if offers_tls:
            options["tls_context"] = context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
        if offers_login:
            options |= {"authenticator": box.check, "auth_require_tls": False}
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        controller = Controller(box, hostname="127.0.0.1", port=port, **options)
        running.append(controller)
        controller.start()
        return port

    yield start
    for controller in running:
        controller.stop()


def target(port: int, *, scheme: str = "smtp", user: str = "", **values: Any) -> NotifyTarget:
    plain: dict[str, Any] = {"sender": "amci@shop.example", "to": ("one@shop.example", "two@shop.example")}
    return NotifyTarget(
        kind=TargetKind.SMTP,
        url=f"{scheme}://{user}{'@' if user else ''}127.0.0.1:{port}",
        **(plain | values),
    )


def send(to: NotifyTarget, *, password: str = "", tls: ssl.SSLContext | None = None) -> None:
    mail.send(to, NOTICE, key="notify:1", password=password, at=AT, timeout=timedelta(seconds=10), tls=tls)


def refusal(to: NotifyTarget, **how: Any) -> AmciError:
    with pytest.raises(AmciError) as refused:
        send(to, **how)
    said = f"{refused.value!r} {refused.value} {refused.value.hint}"
    assert "planted" not in said
    assert "shop.example" not in said
    return refused.value


def test_a_mail_arrives_with_its_subject_and_body(serve: Serve, box: Box) -> None:
    send(target(serve()))
    send(target(serve()))
    (recipients, mail), (_, again) = box.mails
    assert recipients == ["one@shop.example", "two@shop.example"]
    assert (mail["Subject"], mail["From"]) == (NOTICE.subject, "amci@shop.example")
    assert mail.get_content().splitlines() == ["Grüße", "line two"]
    assert mail["Date"] == "Fri, 02 Jan 2026 03:04:05 +0000"
    assert mail["Message-ID"] == again["Message-ID"]


def test_where_starttls_is_offered_it_is_used_and_the_login_goes_through_it(
    serve: Serve, box: Box, certificate: Path
) -> None:
    port = serve(offers_tls=True, offers_login=True)
    trusting = ssl.create_default_context(cafile=certificate)
    send(target(port, user="amci%40shop", secret=ENTRY), password=PASSWORD, tls=trusting)
    assert box.logins == [("amci@shop", PASSWORD, True)]
    assert len(box.mails) == 1


def test_a_certificate_that_does_not_hold_ends_it_before_the_password_is_sent(serve: Serve, box: Box) -> None:
    error = refusal(target(serve(offers_tls=True, offers_login=True), secret=ENTRY), password=PASSWORD)
    assert isinstance(error, Refused)
    assert str(error) == "the certificate of mail server 127.0.0.1 does not hold"
    assert box.logins == box.mails == []


def test_towards_this_machine_a_password_may_go_in_plain(serve: Serve, box: Box) -> None:
    send(target(serve(offers_login=True), secret=ENTRY), password=PASSWORD)
    assert box.logins == [("amci@shop.example", PASSWORD, False)]


def test_towards_another_machine_a_password_goes_only_through_tls(serve: Serve, box: Box) -> None:
    # This address leads here too, but does not look like it.
    url = f"smtp://0.0.0.0:{serve(offers_login=True)}"
    error = refusal(replace(target(1, secret=ENTRY), url=url), password=PASSWORD)
    assert isinstance(error, Refused)
    assert "offers no STARTTLS, so the password was not sent" in str(error)
    assert box.logins == box.mails == []


@pytest.mark.parametrize(
    ("host", "is_this"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("10.0.0.1", False),
        ("mail.example.com", False),
        ("localhost.example.com", False),
    ],
)
def test_only_loopback_is_this_machine(host: str, is_this: bool) -> None:
    assert mail._is_this_machine(host) is is_this


@pytest.mark.parametrize("password", ["planted.wrong", "planted.wröng"])
def test_a_refused_login_says_which_secret_to_store_anew(serve: Serve, box: Box, password: str) -> None:
    error = refusal(target(serve(offers_login=True), secret=ENTRY), password=password)
    assert isinstance(error, AuthError)
    assert "amci auth set --secret mail" in error.hint
    assert box.mails == []


def test_a_server_without_logins_is_said_to_have_none(serve: Serve) -> None:
    error = refusal(target(serve(), secret=ENTRY), password=PASSWORD)
    assert (type(error), str(error)) == (Refused, "mail server 127.0.0.1 offers no login")


@pytest.mark.parametrize(
    ("answers", "kind", "said", "arrived"),
    [
        ({"two": "550 no two@shop.example"}, Refused, "refused 1 of 2 recipients", 1),
        ({"one": "550 no", "two": "553 no"}, Refused, "refused 2 of 2 recipients", 0),
        ({"one": "450 grey", "two": "550 no"}, Unavailable, "takes no mail for now (450)", 0),
    ],
)
def test_refused_recipients_are_counted_and_not_named(
    serve: Serve, box: Box, answers: dict[str, str], kind: type, said: str, arrived: int
) -> None:
    box.answers = {f"{name}@shop.example": answer for name, answer in answers.items()}
    error = refusal(target(serve()))
    assert type(error) is kind
    assert said in str(error)
    assert len(box.mails) == arrived


@pytest.mark.parametrize(
    ("answer", "kind"), [("452 full", Unavailable), ("554 spam of amci@shop.example", Refused)]
)
def test_a_refused_mail_is_tried_again_where_that_is_of_use(
    serve: Serve, box: Box, answer: str, kind: type
) -> None:
    box.data_answer = answer
    error = refusal(target(serve()))
    assert type(error) is kind
    assert str(error) == f"mail server 127.0.0.1 answered {answer[:3]}"


def test_a_server_that_is_not_there_may_come_back() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        assert isinstance(refusal(target(taken.getsockname()[1])), Unavailable)


def test_a_server_that_hangs_up_may_come_back() -> None:
    def hang_up(server: socket.socket) -> None:
        server.accept()[0].close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        hanging_up = threading.Thread(target=hang_up, args=[server])
        hanging_up.start()
        assert isinstance(refusal(target(server.getsockname()[1])), Unavailable)
        hanging_up.join()


def test_smtps_speaks_tls_from_the_first_byte(box: Box, certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    controller = Controller(box, hostname="127.0.0.1", port=port, ssl_context=context)
    controller.start()
    try:
        trusting = ssl.create_default_context(cafile=certificate)
        send(target(port, scheme="smtps"), tls=trusting)
    finally:
        controller.stop()
    assert len(box.mails) == 1
