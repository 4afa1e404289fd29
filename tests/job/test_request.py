"""From a user to the exact parameters: known answers."""

import botocore.session
import botocore.validate
import pytest

from batch_resend.job.request import AppClient, Template, build, secret_hash

CLIENT = AppClient("1example23456789", "9example87654321")


@pytest.mark.parametrize(
    ("username", "expected"),
    [
        ("testuser", "LthmoSss1n0/Ms4uzp6sA+g2PgbCMi/mSkSSqamQ1mg="),
        ("José", "JT7A4vfGALr9FzoOL3rChisZo1QRCZimbu9JUul7BdU="),
    ],
)
def test_secret_hash_is_the_known_answer(username: str, expected: str) -> None:
    assert expected == secret_hash(username, CLIENT)


def test_request_without_secret_has_client_and_name() -> None:
    request = build(AppClient("c1"), Template(), "ada", {})
    assert request.parameters == {"ClientId": "c1", "Username": "ada"}


def test_request_has_every_parameter_of_the_call() -> None:
    template = Template(
        metadata=(("locale", "@lang"), ("source", "clean-up"), ("at", "@@home")),
        ip_address="@ip",
        encoded_data="device",
        analytics_endpoint_id="@endpoint",
    )
    assert template.names == {"lang", "ip", "endpoint"}
    row = {"lang": "de", "ip": "192.0.2.7", "endpoint": "e-1"}
    request = build(CLIENT, template, "testuser", row)
    assert request.parameters == {
        "ClientId": "1example23456789",
        "Username": "testuser",
        "SecretHash": "LthmoSss1n0/Ms4uzp6sA+g2PgbCMi/mSkSSqamQ1mg=",
        "UserContextData": {"IpAddress": "192.0.2.7", "EncodedData": "device"},
        "AnalyticsMetadata": {"AnalyticsEndpointId": "e-1"},
        "ClientMetadata": {"locale": "de", "source": "clean-up", "at": "@home"},
    }
    shape = (
        botocore.session.get_session()
        .get_service_model("cognito-idp")
        .operation_model("ResendConfirmationCode")
        .input_shape
    )
    assert shape is not None
    assert set(request.parameters) == set(shape.members), "all members, and no others"
    report = botocore.validate.ParamValidator().validate(request.parameters, shape)
    assert not report.has_errors()


def test_empty_values_are_left_out_of_the_request() -> None:
    template = Template(
        metadata=(("locale", "@lang"),),
        ip_address="@ip",
        encoded_data="@device",
        analytics_endpoint_id="@endpoint",
    )
    request = build(AppClient("c1"), template, "ada", {"lang": "", "ip": "", "device": ""})
    assert request.parameters == {"ClientId": "c1", "Username": "ada"}


def test_secret_is_in_no_repr() -> None:
    assert "9example87654321" not in repr(CLIENT)
