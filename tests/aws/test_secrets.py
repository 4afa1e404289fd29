"""The client secret: which of its origins counts, and what is said where there is none."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import moto.settings
import pytest

from batch_resend.aws import secrets
from batch_resend.aws.endpoints import AwsTarget
from batch_resend.errors import InputError, SettingsError
from batch_resend.run.client_secret import client_secret
from batch_resend.settings import Settings
from tests.support.listening import listening
from tests.support.sentences import is_one_sentence

pytestmark = pytest.mark.anyio

KEYS = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}


@dataclass(frozen=True)
class World:
    """A pool at moto, its app clients, and an IAM user who may do nothing."""

    url: str
    pool: str
    confidential: str
    secret: str
    public: str
    nobody: dict[str, str]


@pytest.fixture(scope="module")
def world(moto_url: str) -> World:
    def client(service: str) -> Any:
        return boto3.client(service, region_name="us-east-1", endpoint_url=moto_url, **KEYS)

    cognito, vault, iam = client("cognito-idp"), client("secretsmanager"), client("iam")
    pool = cognito.create_user_pool(PoolName="shop")["UserPool"]["Id"]
    instance = [
        cognito.create_user_pool_client(UserPoolId=pool, ClientName="web", GenerateSecret=secret)
        for secret in (True, False)
    ]
    confidential, public = (answer["UserPoolClient"] for answer in instance)
    for name, text in STORED.items():
        vault.create_secret(Name=name, SecretString=text)
    vault.create_secret(Name="bytes", SecretBinary=b"s3cret")
    for name, text in PARAMETERS.items():
        client("ssm").put_parameter(Name=name, Value=text, Type="SecureString")
    iam.create_user(UserName="stranger")
    key = iam.create_access_key(UserName="stranger")["AccessKey"]
    return World(
        moto_url,
        pool,
        confidential["ClientId"],
        confidential["ClientSecret"],
        public["ClientId"],
        {
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        },
    )


STORED = {
    "plain": "s3cret",
    "plain with a line end": "s3cret\n",
    "JSON": '{"client_secret": "s3cret", "other": 1}',
    "JSON in Cognito's words": '{"ClientSecret": "s3cret"}',
    "digits": "12345",
    "JSON of something else": '{"password": "hunter2"}',
    "two words": "my s3cret",
}


PARAMETERS = {"/shop/web": "s3cret", "/shop/json": '{"client_secret": "s3cret"}'}


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", world.url)
    monkeypatch.setenv("AWS_ENDPOINT_URL_SSM", world.url)


def from_cognito(world: World, client_id: str = "", pool: str = "") -> Settings:
    return Settings(
        users="users.csv",
        user_pool_id=pool or world.pool,
        client_id=client_id or world.confidential,
        fetch_client_secret=True,
        endpoint_url=world.url,
    )


def from_vault(name: str) -> Settings:
    return Settings(users="users.csv", client_id="web", region="us-east-1", client_secret_id=name)


@pytest.mark.usefixtures("credentials")
async def test_the_secret_of_an_app_client_comes_from_cognito(world: World) -> None:
    assert await client_secret(from_cognito(world)) == world.secret


@pytest.mark.usefixtures("credentials")
async def test_an_app_client_may_have_no_secret(world: World) -> None:
    assert await client_secret(from_cognito(world, world.public)) is None


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("plain", "s3cret"),
        ("plain with a line end", "s3cret"),
        ("JSON", "s3cret"),
        ("JSON in Cognito's words", "s3cret"),
        ("digits", "12345"),
    ],
)
async def test_a_stored_secret_is_text_or_json(name: str, secret: str) -> None:
    assert await client_secret(from_vault(name)) == secret


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize(
    "name",
    [
        "ssm:/shop/web",
        "ssm:/shop/json",
        "arn:aws:ssm:us-east-1:123456789012:parameter/shop/web",
    ],
)
async def test_a_parameter_is_decrypted(name: str) -> None:
    assert await client_secret(from_vault(name)) == "s3cret"


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize("name", ["JSON of something else", "two words"])
async def test_stored_text_that_is_not_a_secret_is_refused_unseen(name: str) -> None:
    with pytest.raises(InputError) as caught:
        await client_secret(from_vault(name))
    assert name in str(caught.value)
    assert is_one_sentence(caught.value)
    assert not any(text in str(caught.value) for text in ("hunter2", "my s3cret"))


@pytest.mark.usefixtures("credentials")
async def test_stored_bytes_are_refused_as_a_secret() -> None:
    with pytest.raises(SettingsError, match="The secret bytes holds no text") as caught:
        await client_secret(from_vault("bytes"))
    assert is_one_sentence(caught.value)


@pytest.mark.usefixtures("credentials")
async def test_unknown_names_are_named_in_one_sentence(world: World) -> None:
    pool = "us-east-1_Nowhere"
    for settings, named in (
        (from_cognito(world, client_id="nosuchclient"), "nosuchclient"),
        (from_cognito(world, pool=pool), pool),
        (from_vault("no-such-secret"), "no-such-secret"),
        (from_vault("ssm:/no/such"), "parameter ssm:/no/such"),
    ):
        with pytest.raises(SettingsError, match=r"(Resource|Parameter)NotFound") as caught:
            await client_secret(settings)
        assert named in str(caught.value)
        assert is_one_sentence(caught.value)


@pytest.mark.usefixtures("credentials")
async def test_a_missing_permission_is_named_in_one_sentence(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in world.nobody.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setattr(moto.settings, "INITIAL_NO_AUTH_ACTION_COUNT", 0)
    for settings, permission in (
        (from_cognito(world), "cognito-idp:DescribeUserPoolClient"),
        (from_vault("plain"), "secretsmanager:GetSecretValue"),
    ):
        # 403 is what is left of moto's answer, which is none of Cognito's form.
        with pytest.raises(SettingsError, match=r"\((AccessDeniedException|403)\)") as caught:
            await client_secret(settings)
        assert f"the credentials allow {permission}." in str(caught.value)
        assert is_one_sentence(caught.value)


async def test_missing_credentials_are_one_sentence(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", world.url)
    for settings in (from_cognito(world), from_vault("plain")):
        with pytest.raises(SettingsError, match=r"NoCredentialsError.*Check credentials") as caught:
            await client_secret(settings)
        assert is_one_sentence(caught.value)


@pytest.mark.parametrize("named", ["", "BATCH_RESEND_CLIENT_SECRET"])
async def test_secret_defaults_to_the_environment_or_none(
    named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if named:
        monkeypatch.setenv(named, " s3cret\n")
    secret = await client_secret(Settings(users="users.csv", client_id="web"))
    assert secret == ("s3cret" if named else None)


@pytest.mark.usefixtures("credentials")
async def test_page_in_place_of_the_app_client_is_one_sentence(world: World) -> None:
    async with listening("<title>Please sign in</title>", "text/html") as listener:
        with pytest.raises(SettingsError, match="does not respond as Amazon Cognito") as caught:
            await secrets.client_secret(
                AwsTarget("us-east-1", endpoint_url=listener.url),
                world.pool,
                world.confidential,
            )
    assert is_one_sentence(caught.value)


@pytest.mark.usefixtures("credentials")
async def test_no_secret_gets_into_a_debug_log(
    world: World, all_is_logged: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("other").debug("is listening")
    assert await client_secret(from_cognito(world)) == world.secret
    assert await client_secret(from_vault("plain")) == "s3cret"
    log = all_is_logged.text
    assert "is listening" in log
    assert world.secret not in log
    assert "s3cret" not in log


async def test_a_secret_file_of_another_user_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner could replace the secret, and with it the app client that is written to."""
    file = tmp_path / "secret"
    file.write_text("s3cret")
    file.chmod(0o600)
    settings = Settings(users="users.csv", client_id="web", client_secret_file=str(file))
    assert await client_secret(settings) == "s3cret"
    if os.geteuid() == 0:
        os.chown(file, 12345, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(InputError, match="belongs to another user") as caught:
        await client_secret(settings)
    assert is_one_sentence(caught.value)
    if os.geteuid() == 0:
        os.chown(file, 0, -1)
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
        assert await client_secret(settings) == "s3cret", "root's is as good as one's own"
