"""Where no connection comes about: nothing was sent, and the cause is said."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from batch_resend.aws import clients
from batch_resend.aws.endpoints import AwsTarget
from batch_resend.aws.sender import AwsSender
from batch_resend.errors import SettingsError
from batch_resend.job.outcome import Stop, judge
from batch_resend.model import Reason, Reply, Request, Wire
from tests.support.certificates import NOW, Authority, authority
from tests.support.raw_server import Peer, serving
from tests.support.sentences import is_one_sentence

pytestmark = pytest.mark.anyio

FAR = "https://cognito.example"  #: which only a proxy would know


@asynccontextmanager
async def sending(url: str) -> AsyncIterator[AwsSender]:
    target = AwsTarget("us-east-1", endpoint_url=url)
    async with clients.resend_client(target, timeout=10, concurrency=4) as (client, *_):
        yield AwsSender(client)


async def reply_from(url: str) -> Reply:
    async with sending(url) as sender:
        reply = await sender.send(Request("ada", {"ClientId": "web", "Username": "ada"}))
    assert reply.wire is Wire.NOT_SENT, reply
    assert judge(reply).reason is Reason.CONNECTION
    assert (judge(reply).stop is Stop.UNREACHABLE) is reply.lasting
    assert "\n" not in reply.message
    return reply


# -- proxies ---------------------------------------------------------------------


async def through(proxy: bytes | str, monkeypatch: pytest.MonkeyPatch) -> Reply:
    """Return the reply through a proxy that responds to CONNECT in this way."""

    async def serve(peer: Peer) -> None:
        assert (await peer.heard()).startswith(b"CONNECT cognito.example:443")
        if proxy == "reset":
            peer.reset()
        elif isinstance(proxy, bytes):
            await peer.say(proxy)

    async with serving(serve) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:hunter2@127.0.0.1:{port}")
        reply = await reply_from(FAR)
    assert "hunter2" not in reply.message
    return reply


@pytest.mark.parametrize(
    ("answer", "said", "lasting"),
    [
        (
            b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
            "user name and password (407)",
            True,
        ),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "answered 403 when asked for cognito.example", True),
        (b"HTTP/1.1 429 Too Many\r\n\r\n", "answered 429", False),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "answered 502", False),
        (b"HTTP/1.1 200 OK\r\n\r\nthis is no TLS", "check HTTPS_PROXY", False),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "gave no valid answer", False),
        (b"HTTP/1.1 200", "gave no valid answer", False),
        ("close", "broke off", False),
        ("reset", "broke off", False),
    ],
)
async def test_a_proxy_that_does_not_connect_is_named(
    answer: bytes | str, said: str, lasting: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that closes, resets or garbles its answer proves that nothing was sent."""
    reply = await through(answer, monkeypatch)
    assert said in reply.message
    assert reply.lasting is lasting


async def test_a_dead_proxy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:hunter2@127.0.0.1:1")
    reply = await reply_from(FAR)
    assert reply.message.startswith("the proxy 127.0.0.1:1 cannot be reached (")
    assert not reply.lasting


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("socks5://user:hunter2@127.0.0.1:1080", "a SOCKS proxy, which is not supported"),
        ("socks5h://127.0.0.1:1080", "a SOCKS proxy"),
        ("ftp://user:hunter2@127.0.0.1", "not a valid proxy address"),
        ("http://", "not a valid proxy address"),
        ("http://127.0.0.1:port", "not a valid proxy address"),
        ("http://127.0.0.1:99999", "not a valid proxy address"),
        ("http://[::1", "not a valid proxy address"),
    ],
)
async def test_a_proxy_that_cannot_be_used_is_refused(
    setting: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", setting)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    with pytest.raises(SettingsError, match=said) as caught:
        async with sending(FAR):
            pass
    assert is_one_sentence(caught.value)
    assert "hunter2" not in str(caught.value)
    with pytest.raises(SettingsError, match=said):
        async with clients.signed_client(AwsTarget("us-east-1"), clients.COGNITO):
            pass
    monkeypatch.setenv("no_proxy", "cognito.example")
    async with sending(FAR):
        pass


# -- certificates, names, refused connections ------------------------------------


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("certificates"))


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("expired", "the certificate of 127.0.0.1 has expired: check this machine's clock"),
        ("other host", "the certificate of 127.0.0.1 is for another host: check --endpoint-url"),
        ("self-signed", "self-signed or not from a known authority: .* AWS_CA_BUNDLE"),
        ("unknown authority", "self-signed or not from a known authority: .* AWS_CA_BUNDLE"),
    ],
)
async def test_a_certificate_says_what_is_wrong_with_it(
    case: str, said: str, signer: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = signer.context(
        "other.example" if case == "other host" else "127.0.0.1",
        until=NOW - timedelta(days=1) if case == "expired" else NOW + timedelta(days=1),
        alone=case == "self-signed",
    )
    if case != "unknown authority":
        monkeypatch.setenv("AWS_CA_BUNDLE", str(signer.bundle))
    async with serving(_never_asked, context) as port:
        reply = await reply_from(f"https://127.0.0.1:{port}")
    assert reply.lasting
    assert re.search(said, reply.message), reply.message


async def test_a_host_without_an_address_is_named() -> None:
    reply = await reply_from("https://cognito.invalid")
    assert reply.message.startswith("no address was found for cognito.invalid (")
    assert not reply.lasting


async def test_a_refused_connection_is_named() -> None:
    reply = await reply_from("http://127.0.0.1:1")
    assert reply.message.startswith("127.0.0.1 cannot be reached (")
    assert not reply.lasting


async def test_a_server_without_tls_is_named() -> None:
    async def serve(peer: Peer) -> None:
        await peer.say(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with serving(serve) as port:
        reply = await reply_from(f"https://127.0.0.1:{port}")
    assert reply.message.startswith("no TLS connection to 127.0.0.1 (")


async def _never_asked(peer: Peer) -> None:
    raise AssertionError(await peer.heard())
