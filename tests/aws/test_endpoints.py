"""Endpoint URLs: which are refused, which are the same, and which are AWS's own."""

from __future__ import annotations

import pytest

from batch_resend.aws.endpoints import AwsTarget, is_aws, same_endpoint
from batch_resend.errors import SettingsError
from tests.support.sentences import is_one_sentence

KEYS = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}


@pytest.mark.parametrize(
    ("address", "complaint"),
    [
        ("http://cognito.example.com", "unencrypted"),
        ("http://10.0.0.1:4566", "unencrypted"),
        ("http://127.0.0.1.example.com", "unencrypted"),
        ("http://localhost@example.com", "user name"),
        ("https://u:secret@example.com", "user name"),
        ("http://127.0.0.1:port", "is not a valid URL"),
        ("HTTP://example.com", "unencrypted"),
        ("ftp://localhost", "is not a valid URL"),
        ("localhost:4566", "is not a valid URL"),
        ("https://", "is not a valid URL"),
    ],
)
def test_plain_http_to_another_machine_is_refused(address: str, complaint: str) -> None:
    """Usernames would travel there in the clear."""
    with pytest.raises(SettingsError, match=f"--endpoint-url .*{complaint}") as caught:
        AwsTarget("us-east-1", endpoint_url=address)
    assert is_one_sentence(caught.value)
    assert "secret@" not in str(caught.value)


def test_an_address_is_the_same_however_it_is_spelt() -> None:
    spelt = ("http://127.0.0.1:4570", "http://localhost:4570/", "HTTP://LocalHost:4570")
    assert len({same_endpoint(address) for address in spelt}) == 1
    assert same_endpoint("https://X.example") == same_endpoint("https://x.example.:443/")
    assert same_endpoint("https://x.example/a") != same_endpoint("https://x.example/b")


@pytest.mark.parametrize(
    "address",
    ["", "https://cognito.example.com", "http://127.0.0.1:1", "http://localhost:1", "http://[::1]"],
)
def test_https_and_this_machine_itself_are_allowed(address: str) -> None:
    AwsTarget("us-east-1", endpoint_url=address)


@pytest.mark.parametrize(
    ("address", "own"),
    [
        ("https://cognito-idp.us-east-1.amazonaws.com", True),
        ("https://cognito-idp-fips.us-gov-west-1.amazonaws.com/", True),
        ("https://cognito-idp.eu-west-1.api.aws", True),
        ("https://cognito-idp.eusc-de-east-1.amazonaws.eu", True),
        ("https://vpce-0a1b-2c3d.cognito-idp.us-east-1.vpce.amazonaws.com", True),
        ("https://COGNITO-IDP.us-east-1.amazonaws.com:443", True),
        ("https://cognito-idp.us-gov-west-1.amazonaws.com.cn", True),
        # Names below amazonaws.com that anybody can have.
        ("https://a1b2.execute-api.us-east-1.amazonaws.com", False),
        ("https://ec2-192-0-2-1.compute-1.amazonaws.com", False),
        ("https://cognito-idp.s3.us-east-1.amazonaws.com", False),
        ("https://x.cognito-idp.us-east-1.amazonaws.com", False),
        ("https://secretsmanager.us-east-1.amazonaws.com", False),
        ("https://amazonaws.com.example.com", False),
        ("https://example.com/cognito-idp.us-east-1.amazonaws.com", False),
        ("https://notamazonaws.com", False),
        ("http://127.0.0.1:4566", False),
        ("", False),
    ],
)
def test_what_is_an_address_of_aws(address: str, own: bool) -> None:
    assert is_aws(address) is own
