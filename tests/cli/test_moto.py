"""Against moto: listing, secrets and sending in one pool."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

import boto3
import pytest
from moto.cognitoidp.responses import CognitoIdpResponse
from moto.core.exceptions import JsonRESTError
from moto.core.responses import ActionResult

from tests.support.program import (
    AGAIN,
    REPORT,
    SUMMARY,
    Program,
    became,
    ended,
    once,
    rows,
    secret_hash,
    tallied,
)


class AskedOfMoto:
    """The call that moto lacks: ResendConfirmationCode. It notes the users requested, and how."""

    def __init__(self) -> None:
        self.names: Counter[str] = Counter()
        self.metadata: dict[str, Any] = {}
        self.refused = 0
        self.secrets: dict[str, str] = {}  # by client

    def answer(self, response: Any) -> ActionResult:
        client, name, hash_value = (
            response._get_param(key) for key in ("ClientId", "Username", "SecretHash")
        )
        if hash_value != secret_hash(self.secrets[client], name, client):
            self.refused += 1
            return ActionResult({})  # without details, so not a success
        self.names[name] += 1
        self.metadata[name] = response._get_param("ClientMetadata")
        return ActionResult(
            {
                "CodeDeliveryDetails": {
                    "AttributeName": "email",
                    "DeliveryMedium": "EMAIL",
                    "Destination": "u***@e***",
                }
            }
        )


@dataclass
class Moto:
    """A pool at moto's server, with several hundred users."""

    url: str
    pool: str
    client: str
    asked: AskedOfMoto
    unconfirmed: dict[str, dict[str, str]]  #: attributes by Username

    @property
    def options(self) -> tuple[str, ...]:
        return ("--user-pool-id", self.pool, "--client-id", self.client, "--yes", "--rate", "1000",
                "--endpoint-url", self.url, "--metadata", "locale=@locale")  # fmt: skip

    @property
    def env(self) -> dict[str, str]:
        return {
            "AWS_ACCESS_KEY_ID": "x",
            "AWS_SECRET_ACCESS_KEY": "x",
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": self.url,
        }


@pytest.fixture(scope="module")
def at_moto(moto_url: str) -> Iterator[Moto]:
    asked = AskedOfMoto()
    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
    cognito, vault = (
        boto3.client(service, region_name="us-east-1", endpoint_url=moto_url, **keys)
        for service in ("cognito-idp", "secretsmanager")
    )
    pool = cognito.create_user_pool(
        PoolName="shop", UsernameAttributes=["email"], AutoVerifiedAttributes=["email"]
    )["UserPool"]["Id"]
    client = cognito.create_user_pool_client(
        UserPoolId=pool, ClientName="web", GenerateSecret=True
    )["UserPoolClient"]
    asked.secrets[client["ClientId"]] = client["ClientSecret"]
    vault.create_secret(
        Name="shop/web", SecretString=json.dumps({"client_secret": client["ClientSecret"]})
    )
    unconfirmed = {}
    for n in range(300):
        # A tenth has no locale.
        attributes = {"email": f"user{n}@example.com"} | ({"locale": f"l{n}"} if n % 10 else {})
        answer = cognito.sign_up(
            ClientId=client["ClientId"],
            Username=attributes["email"],
            Password="Passw0rd!",
            UserAttributes=[{"Name": name, "Value": text} for name, text in attributes.items()],
        )
        if n % 5 == 2:
            cognito.admin_confirm_sign_up(UserPoolId=pool, Username=answer["UserSub"])
        else:
            unconfirmed[answer["UserSub"]] = attributes

    def resend_confirmation_code(response: Any) -> ActionResult:
        return asked.answer(response)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            CognitoIdpResponse, "resend_confirmation_code", resend_confirmation_code, raising=False
        )
        yield Moto(moto_url, pool, client["ClientId"], asked, unconfirmed)


def test_unconfirmed_users_of_a_pool_are_mailed_once(program: Program, at_moto: Moto) -> None:
    asked = at_moto.asked
    first = program(
        "run", *at_moto.options, "--fetch-client-secret", "--max-sent", "70", *REPORT,
        env=at_moto.env,
    )  # fmt: skip
    assert first.code == 3
    assert tallied(program.report()) == {"sent/accepted": 70, "not-attempted/stopped": 170}
    assert set(became(program.report())) == set(at_moto.unconfirmed)
    assert asked.names.total() == 70
    second = program(
        "run", *at_moto.options, "--client-secret-id", "shop/web", *AGAIN, *SUMMARY,
        env=at_moto.env,
    )  # fmt: skip
    assert second.code == 0
    assert tallied(program.report()) == {"skipped/cooling-down": 70, "sent/accepted": 170}
    assert rows(program.report()) == list(range(1, 241))
    assert program.summary()["user_pool_id"] == at_moto.pool
    assert asked.refused == 0
    assert asked.names == once(at_moto.unconfirmed)
    assert asked.metadata == {
        name: {"locale": attributes["locale"]} if "locale" in attributes else None
        for name, attributes in at_moto.unconfirmed.items()
    }
    # A listed user is stored under the address too, without credentials.
    emails = [attributes["email"] for attributes in at_moto.unconfirmed.values()][:5]
    third = program(
        "run", program.users(emails), "--client-id", at_moto.client, "--region", "us-east-1",
        "--endpoint-url", at_moto.url, "--yes", *AGAIN,
    )  # fmt: skip
    assert third.code == 0
    assert tallied(program.report()) == {"skipped/cooling-down": 5}
    assert asked.names.total() == 240


def test_a_listing_that_cannot_be_made_exits_4(
    tmp_path_factory: pytest.TempPathFactory, at_moto: Moto
) -> None:
    table: list[tuple[str, tuple[str, ...], dict[str, str]]] = [
        ("credentials", (), {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}),
        ("shop/nothing", ("--client-secret-id", "shop/nothing"), {}),
        ("nosuchclient", ("--fetch-client-secret", "--client-id", "nosuchclient"), {}),
        ("us-east-1_Nowhere", ("--user-pool-id", "us-east-1_Nowhere"), {}),
    ]
    before = at_moto.asked.names.total()
    begun = []
    for sentence, arguments, env in table:
        program = Program(tmp_path_factory.mktemp("listing"))
        options = ("run", *at_moto.options, *arguments, *REPORT, "-q")
        begun.append((sentence, program, program.start(*options, env=at_moto.env | env)))
    for sentence, program, process in begun:
        refused = ended(process)
        assert (refused.code, len(refused.err.splitlines())) == (4, 1)
        assert sentence in refused.errors[0]
        assert not (program.folder / "report.csv").exists()
    assert at_moto.asked.names.total() == before


def test_wrong_credentials_exit_4(
    program: Program, at_moto: Moto, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Any) -> NoReturn:  # in AWS's words, where moto has its own
        raise JsonRESTError(
            "UnrecognizedClientException", "The security token included in the request is invalid."
        )

    monkeypatch.setattr(CognitoIdpResponse, "list_users", refuse)
    refused = program("run", *at_moto.options, *REPORT, "-q", env=at_moto.env)
    assert (refused.code, len(refused.err.splitlines())) == (4, 1)
    assert "credentials" in refused.errors[0]
    assert "UnrecognizedClientException" in refused.errors[0]
    assert not (program.folder / "report.csv").exists()
