"""Profiles whose credentials cannot be got: one sentence that names the profile and the cause."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import sys
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from anyio import to_thread

from batch_resend.aws import clients, credentials
from batch_resend.aws.credentials import BadCredentials
from batch_resend.aws.endpoints import AwsTarget
from batch_resend.aws.refusals import clock_is_off
from batch_resend.preflight.facts import Unknown, Why
from batch_resend.preflight.probe import probe
from tests.support.sentences import is_one_sentence

pytestmark = pytest.mark.anyio

OLD = json.dumps(
    {
        "Version": 1,
        "AccessKeyId": "x",
        "SecretAccessKey": "hunter2",
        "SessionToken": "x",
        "Expiration": "2020-01-01T00:00:00Z",
    }
)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "old.json").write_text(OLD)
    file = tmp_path / "config"
    file.write_text(f"""
[profile mfa]
role_arn = arn:aws:iam::123456789012:role/ops
source_profile = base
mfa_serial = arn:aws:iam::123456789012:mfa/me
[profile on-mfa]
role_arn = arn:aws:iam::123456789012:role/next
source_profile = mfa
[profile base]
aws_access_key_id = AKIAEXAMPLE
aws_secret_access_key = x
[profile missing]
credential_process = /nonexistent/tool --key hunter2
[profile no-json]
credential_process = echo not-json hunter2
[profile failing]
credential_process = sh -c "echo not logged in >&2; exit 3"
[profile old]
credential_process = cat {tmp_path}/old.json
[profile web]
role_arn = arn:aws:iam::123456789012:role/a
web_identity_token_file = /nonexistent/token
""")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(file))
    return file


BAD = {
    "mfa": "The AWS profile mfa needs an MFA code, and there is no terminal to ask for it",
    "on-mfa": "The AWS profile on-mfa needs an MFA code",
    "missing": "profile missing, /nonexistent/tool, cannot be run (No such file or directory)",
    "no-json": "profile no-json, echo, did not answer in JSON",
    "failing": "profile failing, sh, failed (not logged in)",
    "old": "profile old, cat, gave credentials that have expired",
    "web": "token file /nonexistent/token of the AWS profile web cannot be read (No such file",
}


@pytest.mark.usefixtures("config")
@pytest.mark.parametrize("profile", BAD)
async def test_credentials_that_cannot_be_got_are_named(
    profile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "_terminal", lambda: False)
    target = AwsTarget("us-east-1", profile=profile)
    with pytest.raises(BadCredentials) as caught:
        async with clients.signed_client(target, clients.COGNITO):
            pass
    assert BAD[profile] in str(caught.value)
    assert is_one_sentence(caught.value)
    assert "hunter2" not in str(caught.value)


WHO = """<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<GetCallerIdentityResult><Account>123456789012</Account><Arn>arn:x</Arn><UserId>x</UserId>
</GetCallerIdentityResult></GetCallerIdentityResponse>"""


@pytest.mark.usefixtures("config")
@pytest.mark.parametrize("profile", ["mfa", "missing", "web"])
async def test_the_check_says_so_and_harms_nothing(
    profile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "_terminal", lambda: False)
    facts = await probe(
        AwsTarget("us-east-1", profile=profile),
        user_pool_id="us-east-1_Pool",
        client_id="web",
        secret=None,
    )
    assert isinstance(facts.pool, Unknown)
    assert facts.pool.why is Why.CREDENTIALS
    assert BAD[profile] in facts.pool.detail


STS = """<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>
<Credentials><AccessKeyId>ASIAX</AccessKeyId><SecretAccessKey>x</SecretAccessKey>
<SessionToken>x</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>
<AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/ops/x</Arn>
<AssumedRoleId>AROAX:x</AssumedRoleId></AssumedRoleUser></AssumeRoleResult></AssumeRoleResponse>"""


TWO_CLIENTS_AND_A_CHECK = """
import anyio
from batch_resend.aws import clients
from batch_resend.aws.endpoints import AwsTarget
from batch_resend.preflight.probe import probe

async def work():
    target = AwsTarget("us-east-1", profile="mfa")
    facts = await probe(target, user_pool_id="us-east-1_P", client_id="web", secret=None, within=60)
    async with (
        clients.signed_client(target, clients.COGNITO) as one,
        clients.signed_client(AwsTarget("eu-west-1", profile="mfa"), clients.STS) as two,
    ):
        print("account", facts.account, (await two.get_caller_identity())["Account"])

anyio.run(work)
"""


def at_a_terminal(typed: bytes) -> str:
    """Return what is written if a person types this at the first question."""
    pid, parent = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-c", TWO_CLIENTS_AND_A_CHECK])
    written = b""
    with contextlib.suppress(OSError):  # this is how a terminal ends
        while piece := os.read(parent, 4096):
            written += piece
            if b"Enter MFA code" in written and typed:
                os.write(parent, typed)
                typed = b""
    os.close(parent)
    os.waitpid(pid, 0)
    return written.decode()


@pytest.mark.usefixtures("config")
async def test_a_code_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each client asked anew, and a code works once."""
    codes: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        form = await request.post()
        if form["Action"] != "AssumeRole":
            return web.Response(text=WHO, content_type="text/xml")
        codes.append(str(form["TokenCode"]))
        return web.Response(text=STS, content_type="text/xml")

    app = web.Application()
    app.router.add_post("/", answer)
    async with TestServer(app, host="127.0.0.1") as server:
        url = str(server.make_url("/"))
        for service in ("STS", "COGNITO_IDENTITY_PROVIDER"):
            monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", url)
        written = await to_thread.run_sync(at_a_terminal, b"123456\n")
    assert codes == ["123456"], written
    assert written.count("Enter MFA code") == 1
    assert "account 123456789012 123456789012" in written


@pytest.mark.parametrize("has_terminal", [True, False])
def test_a_terminal_is_one_that_can_be_asked_at(has_terminal: bool) -> None:
    """The program's own terminal counts, not whether standard input is one."""
    script = "from batch_resend.aws import credentials; print(credentials._terminal())"
    out_read, out_write = os.pipe()
    pid, parent = pty.fork() if has_terminal else (os.fork(), -1)
    if pid == 0:
        if not has_terminal:
            os.setsid()
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out_write, 1)
        os.execv(sys.executable, [sys.executable, "-c", script])
    os.close(out_write)
    with os.fdopen(out_read) as out:
        assert out.read().strip() == str(has_terminal)
    os.waitpid(pid, 0)
    if parent >= 0:
        os.close(parent)


@pytest.mark.parametrize(
    ("code", "message", "off"),
    [
        (
            "InvalidSignatureException",
            "Signature expired: 20261127T093000Z is now earlier than 20261127T103000Z"
            " (20261127T103500Z - 5 min.)",
            True,
        ),
        ("InvalidSignatureException", "Signature not yet current: 2026 is still later", True),
        ("RequestTimeTooSkewed", "The difference is too large.", True),
        ("InvalidSignatureException", "The request signature we calculated does not match", False),
        ("ExpiredTokenException", "The security token included in the request is expired", False),
    ],
)
def test_wrong_clock_is_distinguished_from_a_wrong_key(code: str, message: str, off: bool) -> None:
    from botocore.exceptions import ClientError

    said = clock_is_off(ClientError({"Error": {"Code": code, "Message": message}}, "ListUsers"))
    assert bool(said) is off
    if off:
        assert said == f"This machine's clock is off, says AWS ({message}): set it, then run again."
