"""What counts as a secret, an id or a link in a recorded exchange, and what it is replaced by; pure patterns."""

from __future__ import annotations

import re
from collections.abc import Iterator

SECRET = "<secret>"  # noqa: S105 - the placeholder, no secret

#: Kind of id → its pseudonym. AWS accounts stay twelve digits, so that a number stays one.
PSEUDONYMS = {
    "instance_id": "amcinstance{}",
    "advertiser_id": "ENTITY{}",
    "client_id": "client{}",
    "advertiser": "advertiser{}",
    "aws_account": "99990000{:04}",
    "bucket": "bucket{}",
    "name": "name{}",
    "page": "page{}",
    "link": "https://download.invalid/{}",
}

#: The same as patterns; what looks like one is left alone.
OURS = {
    kind: re.compile(
        form.format(r"(\d{4})") if kind == "aws_account" else re.escape(form[:-2]) + r"(\d{1,6})"
    )
    for kind, form in (PSEUDONYMS | {"aws_account": "99990000{}"}).items()
}

URL = re.compile(r"https?://[^\s\"'<>\\]+", re.IGNORECASE)
_SIGNED = re.compile(
    r"[?&;](X-(Amz|Goog)-(Signature|Credential|Security-Token)|Signature|AWSAccessKeyId|sig|Key-Pair-Id|Policy)="
    r"|^https?://[^/]*\bs3[.-][^/]*amazonaws\.com[./:]",
    re.IGNORECASE,
)

#: Ids that tell themselves by their shape (amc-api 1.3, 2.1), besides those that stand at a known key.
IDS = {
    "advertiser_id": re.compile(r"(?<![A-Za-z0-9])ENTITY(?!\d{1,6}(?![A-Z0-9]))(?=[A-Z]*\d)[A-Z0-9]{4,40}"),
    "instance_id": re.compile(r"(?<![A-Za-z0-9_])amc(?=[a-z]{0,7}\d)[a-z0-9]{8}(?![A-Za-z0-9_])"),
    "bucket": re.compile(r"((?<=s3://)|(?<=s3a://))(?!bucket\d{1,6}(?![\w.-]))[A-Za-z0-9.\-]+"),
    "aws_account": re.compile(r"(?<!\w)(?<!\w[.-])(?!99990000)\d{12}(?!\w|[.-]\w)"),
}
_ARN_ACCOUNT = re.compile(r"(arn:aws[\w-]{0,10}:[\w-]*:[\w-]*:)(?!99990000|<)\d{12}")

_SECRETIVE = r"(?:token|secret|passw(?:or)?d|signature|credential|api_?key|authorization)"
#: Names that nothing but a secret has, also where prose, YAML, SQL or a header gives the value.
_PLAINLY = (
    r"(?:(?:refresh|access|session|security)[_-]?token|client[_-]?secret|(?:secret[_-]?)?access[_-]?key"
    r"|api[_-]?key|passw(?:or)?d|passphrase|authorization|set-cookie)"
)
_QUOTE = r"\\{0,15}[\"']"  # inside JSON inside JSON it is escaped, once or more
#: What a secret is called, its shape, and what stands there instead. Lengths are bounded: texts may be long.
_TEXTS: tuple[tuple[str, re.Pattern[str], str], ...] = (
    (
        "a private key",
        re.compile(r"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----.*?(-----END [A-Z ]*KEY-----|\Z)", re.DOTALL),
        SECRET,
    ),
    (
        "a Login with Amazon token",
        re.compile(r"Atz[a-z](?:\||%7[Cc]|\\{1,15}u007[Cc])[\w\-+/=%.|]+"),
        "<token>",
    ),
    ("a client id or secret of Amazon", re.compile(r"amzn1\.[a-z0-9-]{1,40}(?:[.:][\w-]+)+"), "<amzn1>"),
    ("a bearer token", re.compile(r"(?i)\b(bearer\s+)(?!<)[^\s\"',;<]+"), r"\1<token>"),
    ("an AWS access key", re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"), "<aws-key>"),
    ("a signed token", re.compile(r"\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*"), "<token>"),
    (
        "a secret",  # name=value, as in a form or a link
        re.compile(
            rf"(?i)(?<![a-z0-9])([\w-]{{0,40}}?{_SECRETIVE}[\w-]{{0,20}}=)(?![<=]|page\d)[^\s\"'&,;}}<]+"
        ),
        r"\1" + SECRET,
    ),
    (
        "a secret",  # "name": "value", as in JSON inside a text
        re.compile(
            rf"(?i)({_QUOTE}[\w-]{{0,40}}?{_SECRETIVE}[\w-]{{0,20}}{_QUOTE}\s*:\s*{_QUOTE})(?!<|page\d)"
            r"(?:[^\"'\\]|\\+[^\"'\\])+"
        ),
        r"\1" + SECRET,
    ),
    (
        "a secret",  # name: value, name = 'value' and name => 'value', as in a header, YAML or SQL
        re.compile(
            rf"(?i)(?<![a-z0-9])([\w-]{{0,40}}?{_PLAINLY}\s{{0,4}}(?:=>|[:=])\s{{0,4}}[\"']?)"
            r"(?![<>\"'=:\s]|bearer\b|page\d)(?:basic\s+)?[^\s\"',;<]+"
        ),
        r"\1" + SECRET,
    ),
    (
        "a pre-signed link",  # inside another link
        re.compile(
            r"(?i)https?%3A%2F%2F[^\s\"'<>\\&]{0,2000}?"
            r"(?:Signature|X-Amz-Credential|X-Amz-Security-Token|AWSAccessKeyId)%3D[^\s\"'<>\\&]*"
        ),
        "<link>",
    ),
    ("an authorization code", re.compile(r"(?i)([?&]code=)(?!<)[^&\s\"']+"), r"\1<code>"),
    (
        "an e-mail address",
        re.compile(r"(?:[\w.+%-]{1,64}|\"[^\"@\n]{1,64}\")(?:@|%40|&#64;)(?:[\w-]{1,63}\.)+[^\W\d_]{2,24}"),
        "<email>",
    ),
)

_SECRET_KEY = re.compile(
    r"token|secret|authori[sz]ation|passw(or)?d|passphrase|credential|cookie|signature|keymaterial"
    r"|(private|api|access|encryption|signing)key"
)
_FIELDS = {
    "nexttoken": "page",
    "instanceid": "instance_id",
    "advertiserid": "advertiser_id",
    "entityid": "advertiser_id",
    "accountid": "advertiser_id",
    "clientid": "client_id",
    "awsaccountid": "aws_account",
    "customerawsaccountid": "aws_account",
    "datauploadawsaccountid": "aws_account",
    "sbucketname": "bucket",
    "bucketname": "bucket",
    "accountname": "name",
    "advertisername": "name",
    "instancename": "name",
    "customercanonicalname": "name",
}
_ADVERTISERS = {"advertisers", "advertiserstoadd", "advertiserstoremove"}


def kind_of(name: str) -> str:
    """The kind of a named id: `acme.instance_id` is an instance."""
    return name.rpartition(".")[2]


def field(key: str, under: str = "") -> str:
    """What a JSON key says of its value: `secret`, `link`, a kind of id, or nothing."""
    name, around = (re.sub(r"[^a-z]", "", word.lower()) for word in (key, under))
    if around in _ADVERTISERS and name in ("id", "name"):
        return "advertiser" if name == "id" else "name"
    for one in (name, name.removesuffix("s")):
        if one in _FIELDS:
            return _FIELDS[one]
    if _SECRET_KEY.search(name):
        return "secret"
    return "link" if name.endswith(("url", "urls")) else ""


def is_placeholder(value: object) -> bool:
    """Whether this stands where a secret stood."""
    return isinstance(value, str) and re.fullmatch(r"(<[a-z0-9-]+>)?", value) is not None


def is_signed(url: str) -> bool:
    """Whether whoever has this link may read what is behind it."""
    return _SIGNED.search(url) is not None


def without_secrets(text: str) -> str:
    """The text with a placeholder for every secret that tells itself by its shape."""
    text = _ARN_ACCOUNT.sub(r"\g<1><aws-account>", text)
    for _, pattern, instead in _TEXTS:
        text = pattern.sub(instead, text)
    return text


def without_secrets_or_links(text: str) -> str:
    """The same for a text that goes into an error, state or log: whoever has a signed link has the file."""
    return without_secrets(URL.sub(lambda m: "<link>" if is_signed(m[0]) else m[0], text))


def leaks(text: str) -> Iterator[tuple[int, str]]:
    """Line numbers and kinds of secrets that are still in a text; never the secret."""
    for number, line in enumerate(text.splitlines(), start=1):
        for what, pattern, _ in _TEXTS:
            if pattern.search(line):
                yield number, what
        if any(is_signed(url) for url in URL.findall(line)):
            yield number, "a pre-signed link"


def highest_numbers(text: str) -> dict[str, int]:
    """Kind → the highest number a pseudonym of that kind has in this text."""
    return {
        kind: max((int(number) for number in pattern.findall(text)), default=0)
        for kind, pattern in OURS.items()
    }
