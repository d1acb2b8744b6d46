from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import httpx
import pytest
from hypothesis import given, strategies as st

from amci.tenants.credentials import Credential, MemoryCredentials
from amci.tenants.model import Tenant
from amci.workflows.amazon import scrub_rules
from amci.workflows.amazon.fixture_transport import scrubbed
from amci.workflows.amazon.fixtures import body
from amci.workflows.amazon.scrub import Scrubber, client_ids, known_ids

INSTANCE, ENTITY, CLIENT = "amcxyz98765", "ENTITY3QX7KPLM2", "amzn1.application-oa2-client.0f1e2d3c"
KNOWN = {
    "acme.instance_id": INSTANCE,
    "acme.advertiser_id": ENTITY,
    "default.client_id": CLIENT,
}

#: What must never be in a fixture: where it may stand, and the part that must be gone.
PLANTED = {
    "access token": ("Bearer Atza|IwEBIJ-planted_1.x", "planted_1"),
    "refresh token": ("Atzr|IwEBIplanted2", "planted2"),
    "token in a link": ("Atza%7CIwEBIplanted3", "planted3"),
    "bearer of another kind": ("authorization: bearer planted4.abc", "planted4"),
    "basic login": ("Authorization: Basic cGxhbnRlZDU=", "cGxhbnRlZDU"),
    "client secret": ("amzn1.oa2-cs.v1.planted6", "planted6"),
    "another client": ("amzn1.application-oa2-client.planted7", "planted7"),
    "form": ("grant_type=refresh_token&client_secret=planted8&x=1", "planted8"),
    "code": ("https://localhost/?code=ANplanted9&state=1", "ANplanted9"),
    "JSON in a text": ('{"refresh_token": "planted10"}', "planted10"),
    "password": ("password=planted11", "planted11"),
    "AWS key": ("AKIAPLANTED12PLANTED", "AKIAPLANTED12"),
    "JWT": ("eyJhbGciOiJIUzI1.eyJzdWIi.planted13", "planted13"),
    "header": ("Client-Secret: planted19", "planted19"),
    "header of AWS": ("X-Amz-Security-Token: planted20", "planted20"),
    "YAML": ("password: 'planted21'", "planted21"),
    "spaces around": ("refresh_token = planted22", "planted22"),
    "SQL": ("SELECT 1 -- client_secret => 'planted23'", "planted23"),
    "AWS secret": ("aws_secret_access_key = planted24/abc", "planted24"),
    "cookie": ("Set-Cookie: session=planted25", "planted25"),
    "JSON in a JSON text": ('{\\"client_secret\\": \\"planted26\\"}', "planted26"),
    "JSON in JSON in JSON": (json.dumps(json.dumps(json.dumps({"client_secret": "planted27"}))), "planted27"),
    "token, escaped": ("Atzr\\u007cplanted28", "planted28"),
    "e-mail in a link": ("https://h.example/?of=planted29%40example.com", "planted29"),
    "e-mail of a domain with umlauts": ("planted30@ex\u00e4mple.de", "planted30"),
    "e-mail in quotes": ('"planted31 x"@example.com', "planted31"),
    "signed link in a link": ("to=https%3A%2F%2Fh%2Fplanted32%3FX-Amz-Signature%3Dplanted32", "planted32"),
    "signed link in HTML": ("https://h/planted33?a=1&amp;X-Amz-Signature=planted33", "planted33"),
    "signed link of CloudFront": ("https://d1.cloudfront.net/x?Expires=1&Policy=planted34", "planted34"),
    "signed link in capitals": ("HTTPS://h.example/planted35?X-Amz-Signature=1", "planted35"),
    "e-mail": ("planted.14@mail.example.com", "planted.14"),
    "private key": ("-----BEGIN RSA PRIVATE KEY-----\nplanted15\n-----END RSA PRIVATE KEY-----", "planted15"),
    "AWS account": ("account 123456789012.", "123456789012"),
    "AWS account in an ARN": ("arn:aws:iam::123456789012:role/amc", "123456789012"),
    "bucket": ("s3://amc-planted16-ab12cd34/workflow=x/", "planted16"),
    "signed link": ("see https://h.example/a.csv?X-Amz-Signature=planted17&X-Amz-Date=1", "planted17"),
    "link to S3": ("https://planted18.s3.eu-west-1.amazonaws.com/a.csv", "planted18"),
    "another instance": ("instance amcq1w2e3r4 is not yours", "amcq1w2e3r4"),
    "another account": ("account ENTITY9ZZ8YY7XX6", "ENTITY9ZZ8YY7XX6"),
    "own instance": (f"instance {INSTANCE}", INSTANCE),
    "own instance inside a word": (f"x{INSTANCE}_reach", INSTANCE),
    "own account": (f"{ENTITY},{ENTITY}", ENTITY),
    "own client id": (f"client {CLIENT} is unknown", "0f1e2d3c"),
}


@pytest.mark.parametrize(("text", "secret"), PLANTED.values(), ids=list(PLANTED))
def test_a_secret_in_any_text_is_gone_and_stays_gone(text: str, secret: str) -> None:
    scrubber = Scrubber(KNOWN)
    once = scrubber.text(text)
    assert secret not in once
    assert secret not in json.dumps(scrubber.value({text: [text, {"a": text}]}))
    assert scrubber.text(once) == once
    assert list(scrub_rules.leaks(once)) == []


@pytest.mark.parametrize(
    "key",
    [
        "access_token",
        "refreshToken",
        "client_secret",
        "password",
        "authorizationCode",
        "X-Amz-Signature",
        "apiKey",
    ],
)
@pytest.mark.parametrize("value", ["hunter2", 12345, ["hunter2", 12345], {"a": {"b": "hunter2"}}])
def test_the_value_of_a_key_that_is_named_like_a_secret_is_gone(key: str, value: Any) -> None:
    kept = json.dumps(Scrubber({}).value({"outer": [{key: value, "status": "hunter3"}]}))
    assert "hunter2" not in kept
    assert "12345" not in kept
    assert "hunter3" in kept


@pytest.mark.parametrize(
    "value",
    [
        {"code": "400", "details": "Invalid token: expired"},
        {"sqlQuery": "SELECT a, 'b' FROM dsp_impressions WHERE token = 'x' -- 2026-01-01"},
        {"marketplaceId": "ATVPDKIKX0DER", "isPremium": True, "n": 123456789012, "none": None},
        {"workflowExecutionId": "3f1b0c9e-7a51-4a0e-9f11-123456789012"},
        {"s3BucketName": "", "nextToken": None, "downloadUrls": []},
        {"apiEndpoint": "https://advertising-api.amazon.com"},
        {"timeWindowStart": "2026-01-01T00:00:00", "executionTime": 55},
    ],
)
def test_what_is_no_secret_stays(value: Any) -> None:
    assert Scrubber(KNOWN).value(value) == value


def test_rows_of_a_result_keep_numbers_of_twelve_digits() -> None:
    scrubber = Scrubber({})
    assert scrubber.text("cost\n123456789012\n", is_data=True) == "cost\n123456789012\n"
    assert scrubber.text("a@b.example\n", is_data=True) == "<email>\n"


def test_ids_become_the_same_pseudonym_everywhere_and_come_back_as_they_were() -> None:
    scrubber = Scrubber(KNOWN)
    document = {"instance": {"instanceId": INSTANCE, f"{INSTANCE} is": [f"of {ENTITY}", 7, None]}}
    kept = scrubber.value(document)
    assert kept == {"instance": {"instanceId": "amcinstance1", "amcinstance1 is": ["of ENTITY1", 7, None]}}
    assert scrubber.path(f"/amc/reporting/{INSTANCE}/workflows") == "/amc/reporting/amcinstance1/workflows"
    assert scrubber.unscrubbed(kept) == document


def test_ids_nobody_configured_are_learned_at_their_keys_and_known_from_then_on() -> None:
    scrubber = Scrubber(KNOWN)
    kept = scrubber.value(
        {
            "amcAccounts": [{"accountId": "theirs-0815", "accountName": "Their Shop", "marketplaceId": "A1"}],
            "instances": [
                {"instanceId": "oddinstance", "s3BucketName": "amc-their-1a", "awsAccountId": "1" * 12}
            ],
            "advertisers": [{"id": "4711", "name": "Their Brand", "type": "DISPLAY"}],
        }
    )
    assert kept == {
        "amcAccounts": [{"accountId": "ENTITY2", "accountName": "name1", "marketplaceId": "A1"}],
        "instances": [
            {"instanceId": "amcinstance2", "s3BucketName": "bucket1", "awsAccountId": "999900000001"}
        ],
        "advertisers": [{"id": "advertiser1", "name": "name2", "type": "DISPLAY"}],
    }
    assert scrubber.text("oddinstance of theirs-0815") == "amcinstance2 of ENTITY2"
    assert scrubber.path("/amc/instances/plain") == "/amc/instances/amcinstance3"


def test_the_token_of_a_page_is_known_again_when_it_is_asked_for() -> None:
    scrubber = Scrubber({})
    first, second = (scrubber.value({"nextToken": token})["nextToken"] for token in ("abc=", "def="))
    assert first != second
    assert scrubber.value("abc=", "nextToken") == first
    assert scrubber.value(first, "nextToken") == first


def test_a_link_has_one_stand_in_wherever_it_is_met() -> None:
    scrubber = Scrubber({})
    link = "http://127.0.0.1:1/files/a.csv?sig=abc"
    kept = scrubber.value({"downloadUrls": [link, link + "1"]})
    assert kept == {"downloadUrls": ["https://download.invalid/1", "https://download.invalid/2"]}
    assert scrubber.link(link) == scrubber.text(link) == "https://download.invalid/1"


def test_a_later_tenant_changes_no_pseudonym_of_a_recording() -> None:
    old = Scrubber(known_ids([Tenant(tenant="b", instance_id="amcbbbbbb11", advertiser_id="ENTITYB1234")]))
    tenants = [
        Tenant(tenant="a", instance_id="amcaaaaaa11", advertiser_id="ENTITYA1234"),
        Tenant(tenant="b", instance_id="amcbbbbbb22", advertiser_id="ENTITYB1234"),
    ]
    new = Scrubber(known_ids(tenants)).resumed(
        old.pseudonyms, "ENTITY2 amcinstance7 https://download.invalid/3"
    )
    assert new.text("amcbbbbbb22 ENTITYB1234") == "amcinstance1 ENTITY1"
    assert new.unscrubbed("amcinstance1 amcinstance12") == "amcbbbbbb22 amcinstance12"
    assert new.text("amcaaaaaa11 ENTITYA1234") == "amcinstance8 ENTITY3"
    assert new.link("https://new") == "https://download.invalid/4"


def test_a_real_id_that_looks_like_a_pseudonym_is_not_mixed_up_with_one() -> None:
    known = {"a.advertiser_id": "ENTITY2", "b.advertiser_id": "ENTITY1", "c.advertiser_id": "ENTITYC9"}
    scrubber = Scrubber(known)
    text = " ".join(known.values())
    assert len(set(scrubber.text(text).split())) == 3
    assert scrubber.unscrubbed(scrubber.text(text)) == text


def test_two_tenants_of_one_account_share_its_pseudonym() -> None:
    tenants = [Tenant(tenant=t, instance_id=f"amc{t}{t}", advertiser_id=ENTITY) for t in ("one", "two")]
    names = Scrubber(known_ids(tenants, {"default": CLIENT})).pseudonyms
    assert names == {
        "one.instance_id": "amcinstance1",
        "one.advertiser_id": "ENTITY1",
        "two.instance_id": "amcinstance2",
        "two.advertiser_id": "ENTITY1",
        "default.client_id": "client1",
    }


@given(
    st.text(max_size=40), st.sampled_from(sorted(text for text, _ in PLANTED.values())), st.text(max_size=40)
)
def test_scrubbing_twice_changes_nothing(before: str, planted: str, after: str) -> None:
    scrubber = Scrubber(KNOWN)
    once = scrubber.text(f"{before} {planted} {after}")
    assert scrubber.text(once) == once


#: The same id as people, AMC and links write it.
SPELLINGS = {
    "as it is": str,
    "capitals": str.upper,
    "small": str.lower,
    "title": str.title,
    "swapped": str.swapcase,
}


@pytest.mark.parametrize("spelt", SPELLINGS.values(), ids=list(SPELLINGS))
@pytest.mark.parametrize(
    ("real", "pseudonym"), [(INSTANCE, "amcinstance1"), (ENTITY, "ENTITY1"), (CLIENT, "client1")]
)
def test_an_own_id_is_gone_from_every_place_in_every_case(real: str, pseudonym: str, spelt: Any) -> None:
    own, scrubber = spelt(real), Scrubber(KNOWN)
    request = httpx.Request(
        "POST",
        f"https://advertising-api.amazon.com/amc/reporting/{own}/workflows/x{own}y?{own}=1&a={own}&a=b",
        headers={"Amazon-Advertising-API-ClientId": own},
        json={
            own: [own, {"id": f"of {own},", "s3": f"s3://b-{own}/x"}],
            "instanceId": own,
            "entityIds": [own],
        },
    )
    kept = [
        scrubbed(request, scrubber),
        scrubber.value({"content-type": "text/csv", "x-amz-rid": own, own: own}),
        body(f"name\n{own}\n".encode(), scrubber, is_download=True),
        body(gzip.compress(f"name\n{own}\n".encode()), scrubber, is_download=True),
        body(b"\xff" + own.encode(), scrubber),
        body(f'not JSON: {{"{own}": "{own}"'.encode(), scrubber),
    ]
    text = json.dumps(kept)
    texts = text + str([base64.b64decode(each["base64"]) for each in kept if "base64" in each])
    assert real.lower() not in texts.lower()
    assert pseudonym in texts


def test_client_ids_are_those_of_the_logins_that_can_be_read() -> None:
    tenants = [
        Tenant(tenant=name, auth_id=auth_id) for name, auth_id in (("a", "one"), ("b", "two"), ("c", "one"))
    ]
    source = MemoryCredentials({"one": Credential(CLIENT, "secret", "refresh")})
    assert client_ids(tenants, source) == {"one": CLIENT}
    assert (
        Scrubber(known_ids(tenants, client_ids(tenants, source))).text(f"as {CLIENT.upper()}") == "as client1"
    )


def test_a_very_short_id_is_no_word_in_another_case() -> None:
    assert Scrubber({"a.instance_id": "M"}).text("M and m") == "amcinstance1 and m"
