"""The ways to AWS: Region, endpoint and secret, and what no log may show."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from batch_resend.aws import clients, secrets
from batch_resend.aws.endpoints import AwsTarget
from batch_resend.aws.sender import AwsSender
from batch_resend.errors import SettingsError
from batch_resend.job.request import AppClient, Template, build
from batch_resend.model import Request, Wire
from batch_resend.settings import Settings
from batch_resend.simulator.rules import Cognito
from batch_resend.simulator.server import running
from batch_resend.simulator.setup import Client
from tests.support.listening import listening
from tests.support.sentences import is_one_sentence

pytestmark = pytest.mark.anyio

KEYS = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}


DETAILS = {"DeliveryMedium": "EMAIL", "Destination": "a***@e***", "AttributeName": "email"}


async def test_a_resend_is_unsigned_though_there_are_credentials(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "session-token")
    answer = json.dumps({"CodeDeliveryDetails": DETAILS})
    async with listening(answer, "application/x-amz-json-1.1") as listener:
        place = AwsTarget("us-east-1", endpoint_url=listener.url)
        async with clients.resend_client(place, timeout=5, concurrency=1) as (client, *_):
            reply = await AwsSender(client).send(
                Request("ada", {"ClientId": "web", "Username": "ada"})
            )
    assert reply.delivery
    (request,) = listener.heard
    assert request.headers["X-Amz-Target"] == (
        "AWSCognitoIdentityProviderService.ResendConfirmationCode"
    )
    assert request.headers["User-Agent"].startswith("batch-resend/")
    assert "Authorization" not in request.headers
    assert "AKIAEXAMPLE" not in str(request.headers)
    assert "session-token" not in str(request.headers)


async def test_echoed_secret_hash_never_reaches_the_report() -> None:
    """A response that repeats the request does not put its SecretHash into the report."""
    said = {"__type": "InvalidHASHException", "message": "Wrong: SecretHash=HASH, Username=ada"}
    async with listening(json.dumps(said), "application/x-amz-json-1.1", 400) as listener:
        place = AwsTarget("us-east-1", endpoint_url=listener.url)
        async with clients.resend_client(place, timeout=5, concurrency=1) as (client, *_):
            request = {"ClientId": "web", "Username": "ada", "SecretHash": "HASH"}
            reply = await AwsSender(client).send(Request("ada", request))
    assert reply.message == "Wrong: SecretHash=***, Username=ada"
    assert reply.code == "Invalid***Exception"


async def test_invalid_region_is_one_sentence() -> None:
    place = AwsTarget("../x", endpoint_url="http://127.0.0.1:1")
    with pytest.raises(SettingsError, match=r"^'\.\./x' is not a Region. Check --region") as caught:
        async with clients.resend_client(place, timeout=1, concurrency=1):
            pytest.fail("there is no such client")
    assert is_one_sentence(caught.value)


@pytest.mark.parametrize(
    "broken",
    [
        {"AWS_ACCESS_KEY_ID": "x"},
        {"AWS_CONFIG_FILE": "[default]\ncredential_process = /bin/false\n"},
        {"AWS_CONFIG_FILE": "[default]\nrole_arn = arn:x\nsource_profile = missing\n"},
    ],
    ids=["half of a key", "a process that fails", "a role of no profile"],
)
async def test_to_resend_no_credentials_are_looked_for(
    broken: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for variable, value in broken.items():
        if value.startswith("["):
            (tmp_path / "config").write_text(value)
        monkeypatch.setenv(variable, str(tmp_path / "config") if value.startswith("[") else value)
    cognito = Cognito()
    async with running(cognito) as url:
        place = AwsTarget("us-east-1", endpoint_url=url)
        async with clients.resend_client(place, timeout=5, concurrency=1) as (client, *_):
            await AwsSender(client).send(
                build(AppClient(cognito.client.client_id), Template(), "ada", {})
            )
    assert cognito.deliveries == {"ada": 1}


# -- Region, profile and address -------------------------------------------------


@dataclass(frozen=True)
class Where:
    """The settings of a case, and the Region that follows."""

    region: str
    pool: str = ""
    option: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    config: str = ""


WHERE = {
    "the pool's id begins with it": Where("eu-west-1", pool="eu-west-1_AbC"),
    "--region beats the pool's id": Where("eu-west-2", pool="eu-west-1_AbC", option="eu-west-2"),
    "AWS_DEFAULT_REGION": Where("sa-east-1", environment={"AWS_DEFAULT_REGION": "sa-east-1"}),
    "AWS_REGION": Where("sa-east-1", environment={"AWS_REGION": "sa-east-1"}),
    "AWS_REGION beats AWS_DEFAULT_REGION": Where(
        "sa-east-1", environment={"AWS_REGION": "sa-east-1", "AWS_DEFAULT_REGION": "us-west-2"}
    ),
    "the pool's id beats the environment": Where(
        "eu-west-1",
        pool="eu-west-1_AbC",
        environment={"AWS_REGION": "sa-east-1", "AWS_DEFAULT_REGION": "us-west-2"},
    ),
    "--region beats the environment": Where(
        "eu-west-2", option="eu-west-2", environment={"AWS_REGION": "sa-east-1"}
    ),
    "the profile's": Where("us-west-2", config="[default]\nregion = us-west-2\n"),
    "the environment beats the profile's": Where(
        "sa-east-1",
        environment={"AWS_REGION": "sa-east-1"},
        config="[default]\nregion = us-west-2\n",
    ),
    "the profile's of AWS_PROFILE": Where(
        "us-west-1",
        environment={"AWS_PROFILE": "other"},
        config="[default]\nregion = us-west-2\n[profile other]\nregion = us-west-1\n",
    ),
}


def give(where: Where, monkeypatch: pytest.MonkeyPatch, folder: Path) -> AwsTarget:
    for variable, value in where.environment.items():
        monkeypatch.setenv(variable, value)
    if where.config:
        (folder / "config").write_text(where.config)
        monkeypatch.setenv("AWS_CONFIG_FILE", str(folder / "config"))
    settings = Settings(
        users="users.csv", client_id="web", user_pool_id=where.pool, region=where.option
    )
    return AwsTarget(settings.pool_region)


@pytest.mark.parametrize("name", WHERE)
async def test_region_is_found_like_the_aws_cli_or_in_the_pool_id(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place = give(WHERE[name], monkeypatch, tmp_path)
    async with clients.resend_client(place, timeout=1, concurrency=1) as (_, region, endpoint):
        result = region, endpoint
    expected = WHERE[name].region
    assert result == (expected, f"https://cognito-idp.{expected}.amazonaws.com")


def test_unknown_region_is_one_sentence() -> None:
    with pytest.raises(SettingsError, match="No Region is known: give --region") as caught:
        clients.session(AwsTarget())
    assert is_one_sentence(caught.value)


@pytest.mark.parametrize(
    "where", [Where("", pool="cn-north-1_AbC"), Where("", option="cn-north-1")]
)
def test_china_has_no_user_pools(
    where: Where, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match="cn-north-1: Cognito has no user pools") as caught:
        clients.session(give(where, monkeypatch, tmp_path))
    assert is_one_sentence(caught.value)


@pytest.mark.parametrize("region", ["us-gov-west-1", "us-gov-east-1"])
async def test_govcloud_is_asked_at_its_fips_endpoint(region: str) -> None:
    address = f"https://cognito-idp-fips.{region}.amazonaws.com"
    place = AwsTarget(region)
    async with clients.resend_client(place, timeout=1, concurrency=1) as (_, _, endpoint):
        assert endpoint == address
    async with clients.signed_client(place, clients.COGNITO) as client:
        assert client.meta.endpoint_url == address


@pytest.mark.parametrize("variable", ["", "AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER"])
async def test_an_address_of_ones_own_is_asked_in_govcloud_too(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cognito = Cognito()
    async with running(cognito) as url:
        if variable:
            monkeypatch.setenv(variable, url)
        place = AwsTarget("us-gov-west-1", endpoint_url="" if variable else url)
        async with clients.resend_client(place, timeout=5, concurrency=1) as (client, *_):
            reply = await AwsSender(client).send(Request("ada", {"Username": "ada"}))
    assert reply.wire is Wire.ANSWERED
    assert cognito.requests == 1


def test_unknown_profile_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match=r"nosuchprofile.*check --profile") as caught:
        clients.session(AwsTarget("us-east-1", profile="nosuchprofile"))
    assert is_one_sentence(caught.value)
    monkeypatch.setenv("AWS_PROFILE", "another")
    with pytest.raises(SettingsError, match=r"another.*AWS_PROFILE") as caught:
        clients.session(AwsTarget("us-east-1"))
    assert is_one_sentence(caught.value)


def test_broken_config_file_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text("[default\nregion = us-east-1\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    with pytest.raises(SettingsError, match="AWS's own settings cannot be used") as caught:
        clients.session(AwsTarget("us-east-1"))
    assert is_one_sentence(caught.value)


@pytest.mark.parametrize(
    "variable", ["AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER", "AWS_ENDPOINT_URL"]
)
async def test_endpoint_from_the_environment_follows_the_same_rule(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "http://cognito.example.com")
    place = AwsTarget("us-east-1")
    sentence = rf"^{variable} http://cognito\.example\.com would send"
    with pytest.raises(SettingsError, match=sentence) as caught:
        async with clients.resend_client(place, timeout=1, concurrency=1):
            pass
    assert is_one_sentence(caught.value)
    with pytest.raises(SettingsError, match=sentence):
        async with clients.signed_client(place, clients.COGNITO):
            pass
    monkeypatch.setenv(variable, "garbage")
    with pytest.raises(SettingsError, match=rf"garbage\): check {variable}\.") as caught:
        async with clients.resend_client(place, timeout=1, concurrency=1):
            pass
    assert is_one_sentence(caught.value)


async def test_an_address_from_aws_s_own_files_is_named_as_that(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text("[default]\nendpoint_url = http://cognito.example.com\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    with pytest.raises(SettingsError, match=r"^endpoint_url in AWS's own settings http://"):
        async with clients.resend_client(AwsTarget("us-east-1"), timeout=1, concurrency=1):
            pass


@pytest.mark.parametrize(
    ("region", "near"),
    [("eu-wset-1", "eu-west-1, "), ("us-east-21", "us-east-2, us-east-1 or ")],
)
def test_mistyped_region_is_refused_with_nearest_names(region: str, near: str) -> None:
    with pytest.raises(SettingsError, match=f"Did you mean {near}") as caught:
        clients.session(AwsTarget(region))
    assert "--endpoint-url" in str(caught.value)


@pytest.mark.parametrize("region", ["eu-west", "europe-west1", "x", "eu_west_1"])
def test_a_region_that_there_cannot_be_is_refused(
    region: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingsError, match=f"There is no Region '{region}'") as caught:
        clients.session(AwsTarget(region))
    assert is_one_sentence(caught.value)
    # A custom endpoint may have any name of a Region.
    clients.session(AwsTarget(region, endpoint_url="http://127.0.0.1:1"))
    monkeypatch.setenv("AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER", "http://127.0.0.1:1")
    clients.session(AwsTarget(region))


@pytest.mark.parametrize(
    ("region", "sentence"),
    [
        ("eu-west-1", ""),
        ("us-gov-west-1", ""),
        ("eusc-de-east-1", ""),  # of that partition the SDK knows no Region
        ("ca-west-1", ""),
    ],
)
async def test_a_region_that_is_not_known_is_doubted_and_asked(region: str, sentence: str) -> None:
    notes: list[str] = []
    async with clients.resend_client(
        AwsTarget(region), timeout=1, concurrency=1, note=notes.append
    ) as (_, used, _):
        assert used == region
    assert len(notes) == bool(sentence)
    assert all(sentence in note and note.endswith("Trying it anyway.") for note in notes)


@pytest.mark.parametrize("path", ["/nonexistent/keys", "/"])
def test_a_key_log_that_cannot_be_written_is_named(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python trips over it while a library is imported: an internal error."""
    monkeypatch.setenv("SSLKEYLOGFILE", path)
    with pytest.raises(
        SettingsError, match=rf"SSLKEYLOGFILE {path} cannot be written \("
    ) as caught:
        clients.session(AwsTarget("us-east-1"))
    assert is_one_sentence(caught.value)


@pytest.mark.parametrize("content", [None, "no certificate\n"])
@pytest.mark.parametrize("origin", ["variable", "file"])
async def test_a_ca_bundle_that_cannot_be_used_is_named(
    content: str | None, origin: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bundle = tmp_path / "ca.pem"
    if content is not None:
        bundle.write_text(content)
    if origin == "variable":
        monkeypatch.setenv("AWS_CA_BUNDLE", str(bundle))
    else:
        monkeypatch.delenv("AWS_CA_BUNDLE")
        (tmp_path / "config").write_text(f"[default]\nca_bundle = {bundle}\n")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    with pytest.raises(SettingsError, match=rf"The CA bundle {bundle} \(AWS_CA_BUNDLE") as caught:
        async with clients.resend_client(AwsTarget("us-east-1"), timeout=1, concurrency=1):
            pass
    assert is_one_sentence(caught.value)


async def test_custom_endpoint_keeps_other_services_unrequested(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`--endpoint-url` is Cognito's alone; no other service of AWS is requested then."""
    url = "http://127.0.0.1:4566"
    async with clients.signed_client(AwsTarget("us-east-1"), clients.SECRETS_MANAGER) as vault:
        assert vault.meta.endpoint_url == "https://secretsmanager.us-east-1.amazonaws.com"
    place = AwsTarget("us-east-1", endpoint_url=url)
    with pytest.raises(SettingsError, match="set AWS_ENDPOINT_URL_SECRETS_MANAGER"):
        await secrets.stored_secret(place, "app-secret")
    async with clients.signed_client(place, clients.COGNITO) as cognito:
        assert cognito.meta.endpoint_url == url
    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", "http://127.0.0.1:1")
    async with clients.signed_client(place, clients.SECRETS_MANAGER) as vault:
        assert vault.meta.endpoint_url == "http://127.0.0.1:1"


# -- logs ------------------------------------------------------------------------


async def test_no_name_and_no_secret_hash_gets_into_a_debug_log(
    all_is_logged: pytest.LogCaptureFixture,
) -> None:
    logging.getLogger("other").debug("is listening")
    cognito = Cognito(client=Client(secret="s3cret"))
    request = build(
        AppClient(cognito.client.client_id, "s3cret"), Template(), "ada@example.com", {}
    )
    async with running(cognito) as url:
        place = AwsTarget("us-east-1", endpoint_url=url)
        async with clients.resend_client(place, timeout=5, concurrency=1) as (client, *_):
            reply = await AwsSender(client).send(request)
    assert reply.delivery
    log = all_is_logged.text
    assert "is listening" in log
    assert "ada@example.com" not in log
    assert request.parameters["SecretHash"] not in log
    assert "s3cret" not in log
