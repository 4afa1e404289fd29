"""Objects in S3: read as one version and whole, written whole or not at all, errors in sentences.

moto's server stands in for S3; where S3 would have to break off, change or lose an
answer, a small server of our own does.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import boto3
import moto.settings
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from batch_resend.aws import s3, s3_address
from batch_resend.aws.endpoints import AwsTarget
from batch_resend.errors import InputError, ReportError, SettingsError, UsageError
from tests.support.sentences import is_one_sentence

pytestmark = pytest.mark.anyio

KEYS = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
PLACE = AwsTarget("us-east-1")


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")


# -- addresses ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "bucket", "key"),
    [
        ("s3://bucket/users.csv", "bucket", "users.csv"),
        ("s3://my.bucket-1/a/b c/ü?#.csv.gz", "my.bucket-1", "a/b c/ü?#.csv.gz"),
        ("S3://bucket//odd", "bucket", "/odd"),
    ],
)
def test_an_address_is_a_bucket_and_a_key(path: str, bucket: str, key: str) -> None:
    assert s3_address.is_address(path)
    assert s3_address.address("USERS", path) == s3_address.Address(bucket, key)


@pytest.mark.parametrize(
    "path",
    ["s3://", "s3://bucket", "s3://bucket/", "s3://bucket/folder/", "s3:///key", "s3://a b/key",
     "s3://b/key", "s3://bucket/" + "k" * 1025],
)  # fmt: skip
def test_bucket_or_folder_is_refused_as_an_object(path: str) -> None:
    assert s3_address.is_address(path)
    with pytest.raises(UsageError, match=r"--report .* is not a valid S3 address") as caught:
        s3_address.address("--report", path)
    assert is_one_sentence(caught.value)


def test_other_paths_mean_files() -> None:
    assert not any(
        map(s3_address.is_address, [None, "-", "users.csv", "s3/users.csv", "./s3://bucket/x"])
    )


# -- at moto -------------------------------------------------------------------------


@pytest.fixture
def bucket(moto_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An empty bucket, as boto3 has it."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", moto_url)
    resource = boto3.resource("s3", region_name="us-east-1", endpoint_url=moto_url, **KEYS)
    instance = resource.create_bucket(Bucket="shop-users")
    yield instance
    instance.objects.delete()
    instance.delete()


async def test_an_object_is_read_as_it_is(bucket: Any) -> None:
    text = bytes(range(256)) * 4096  # 1 MiB
    bucket.put_object(Key="a/users.csv", Body=text)
    async with s3.open_store(PLACE) as store:
        with await store.fetch("USERS", "s3://shop-users/a/users.csv") as file:
            assert file.read() == text


@pytest.mark.parametrize("size", [0, 1, s3.PART, 2 * s3.PART + 1], ids=str)
async def test_what_is_written_is_read_again_in_any_size(bucket: Any, size: int) -> None:
    pieces = iter([b"x" * (size // 2), b"y" * (size - size // 2)])
    async with s3.open_store(PLACE) as store:
        await store.put("--report", "s3://shop-users/r.csv", pieces, overwrite=False)
    result = bucket.Object("r.csv").get()
    assert result["Body"].read() == b"x" * (size // 2) + b"y" * (size - size // 2)
    assert result["ContentType"] == "text/csv"
    assert list(bucket.multipart_uploads.all()) == []


async def test_nothing_is_replaced_unasked(bucket: Any) -> None:
    bucket.put_object(Key="r.csv", Body=b"older")
    sentence = "--report s3://shop-users/r.csv exists already: .* --overwrite to replace it"
    async with s3.open_store(PLACE) as store:
        with pytest.raises(ReportError, match=sentence) as caught:
            await store.check("--report", "s3://shop-users/r.csv", overwrite=False)
        assert is_one_sentence(caught.value)
        # Even where it came into being after the look.
        with pytest.raises(ReportError, match=sentence):
            await store.put("--report", "s3://shop-users/r.csv", iter([b"new"]), overwrite=False)
        assert bucket.Object("r.csv").get()["Body"].read() == b"older"
        assert list(bucket.multipart_uploads.all()) == []

        await store.check("--report", "s3://shop-users/r.csv", overwrite=True)
        await store.put("--report", "s3://shop-users/r.csv", iter([b"new"]), overwrite=True)
    assert bucket.Object("r.csv").get()["Body"].read() == b"new"


async def test_finding_out_leaves_nothing_behind(bucket: Any) -> None:
    async with s3.open_store(PLACE) as store:
        await store.check("--report", "s3://shop-users/r.csv", overwrite=False)
    assert list(bucket.objects.all()) == []
    assert list(bucket.multipart_uploads.all()) == []


MISSING = [
    ("s3://shop-users/none.csv", "s3://shop-users/none.csv cannot be read: there is no such"),
    ("s3://nobodys-bucket/a.csv", "cannot be read: there is no bucket nobodys-bucket"),
]


@pytest.mark.usefixtures("bucket")
@pytest.mark.parametrize(("path", "sentence"), MISSING)
async def test_missing_object_is_reported(path: str, sentence: str) -> None:
    async with s3.open_store(PLACE) as store:
        with pytest.raises(InputError, match=sentence) as caught:
            await store.fetch("USERS", path)
    assert is_one_sentence(caught.value)


@pytest.mark.usefixtures("bucket")
async def test_a_bucket_that_is_not_there_takes_no_report() -> None:
    async with s3.open_store(PLACE) as store:
        with pytest.raises(ReportError, match="there is no bucket nobodys-bucket") as caught:
            await store.check("--report", "s3://nobodys-bucket/r.csv", overwrite=False)
    assert is_one_sentence(caught.value)


async def test_missing_permission_is_reported(
    bucket: Any, moto_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put_object(Key="users.csv", Body=b"username\nada\n")
    iam = boto3.client("iam", region_name="us-east-1", endpoint_url=moto_url, **KEYS)
    iam.create_user(UserName="stranger-in-s3")
    key = iam.create_access_key(UserName="stranger-in-s3")["AccessKey"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
    with monkeypatch.context() as patch:
        patch.setattr(moto.settings, "INITIAL_NO_AUTH_ACTION_COUNT", 0)
        async with s3.open_store(PLACE) as store:
            with pytest.raises(InputError, match=r"may not be read: .* s3:GetObject") as read:
                await store.fetch("USERS", "s3://shop-users/users.csv")
            with pytest.raises(ReportError, match=r"may not be written: .* s3:PutObject") as wrote:
                await store.check("--report", "s3://shop-users/r.csv", overwrite=False)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAUNKNOWN")
        async with s3.open_store(PLACE) as store:
            with pytest.raises(SettingsError, match="missing, invalid or expired") as unknown:
                await store.check("--report", "s3://shop-users/r.csv", overwrite=False)
    assert all(map(is_one_sentence, (read.value, wrote.value, unknown.value)))


@pytest.mark.usefixtures("bucket")
async def test_without_credentials_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    async with s3.open_store(PLACE) as store:
        with pytest.raises(SettingsError, match="NoCredentialsError") as caught:
            await store.fetch("USERS", "s3://shop-users/users.csv")
    assert is_one_sentence(caught.value)


async def test_aws_s_own_s3_is_not_asked_beside_a_foreign_cognito() -> None:
    place = AwsTarget("us-east-1", endpoint_url="http://127.0.0.1:9")
    with pytest.raises(SettingsError, match="AWS_ENDPOINT_URL_S3"):
        async with s3.open_store(place):
            pass


# -- at a server that fails ------------------------------------------------------------


@dataclass
class Failing:
    """S3 on a bad day. It has one object, and keeps what is uploaded."""

    text: bytes = b""
    cut_after: int = 1 << 30  #: bytes of an answer, then the connection is gone
    changes: bool = False  #: the object is another one after each answer
    heeds_ranges: bool = True
    lost: bool = False  #: the answers to CompleteMultipartUpload
    unknown_header: bool = False  #: If-None-Match is not implemented
    refuses_parts: str = ""  #: with this code
    answers: int = 0
    written: bytes | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    completed_with: list[str | None] = field(default_factory=list)
    aborted: int = 0
    parts: dict[str, bytes] = field(default_factory=dict)

    async def get(self, request: web.Request) -> web.StreamResponse:
        self.answers += 1
        etag = f'"{self.answers if self.changes else 0}"'
        if request.headers.get("If-Match", etag) != etag:
            return _error(412, "PreconditionFailed")
        match = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
        begin = int(match[1]) if match and self.heeds_ranges else 0
        rest = self.text[begin:]
        response = web.StreamResponse(
            status=206 if begin else 200,
            headers={"ETag": etag, "Content-Length": str(len(rest))},
        )
        await response.prepare(request)
        await response.write(rest[: self.cut_after])
        if len(rest) > self.cut_after and request.transport is not None:
            await anyio.sleep(0.05)
            request.transport.close()
        return response

    async def head(self, _: web.Request) -> web.Response:
        if self.written is None:
            return web.Response(status=404)
        marks = {f"x-amz-meta-{name}": text for name, text in self.metadata.items()}
        return web.Response(headers={"ETag": '"1"', **marks})

    async def post(self, request: web.Request) -> web.Response:
        if "uploads" in request.query:
            self.metadata = {
                name.lower().removeprefix("x-amz-meta-"): text
                for name, text in request.headers.items()
                if name.lower().startswith("x-amz-meta-")
            }
            return _xml("<InitiateMultipartUploadResult><UploadId>1</UploadId>"
                        "</InitiateMultipartUploadResult>")  # fmt: skip
        condition = request.headers.get("If-None-Match")
        self.completed_with.append(condition)
        if condition and self.unknown_header:
            return _error(501, "NotImplemented")
        if self.written is not None and condition:
            return _error(412, "PreconditionFailed")
        self.written = b"".join(self.parts[number] for number in sorted(self.parts))
        if self.lost and request.transport is not None:
            request.transport.close()
        return _xml("<CompleteMultipartUploadResult/>")

    async def put(self, request: web.Request) -> web.Response:
        self.parts[request.query["partNumber"]] = await request.read()
        if self.refuses_parts:
            return _error(400, self.refuses_parts)
        return web.Response(headers={"ETag": '"part"'})

    async def delete(self, _: web.Request) -> web.Response:
        self.aborted += 1
        return web.Response(status=204)


def _xml(text: str) -> web.Response:
    return web.Response(text=text, content_type="application/xml")


def _error(status: int, code: str) -> web.Response:
    return web.Response(
        status=status,
        text=f"<Error><Code>{code}</Code><Message>no</Message></Error>",
        content_type="application/xml",
    )


@asynccontextmanager
async def at(failing: Failing, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[s3.Store]:
    app = web.Application()
    app.router.add_get("/{path:.*}", failing.get, allow_head=False)
    for method in ("head", "post", "put", "delete"):
        app.router.add_route(method, "/{path:.*}", getattr(failing, method))
    async with TestServer(app, host="127.0.0.1") as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", str(server.make_url("/")).rstrip("/"))
        async with s3.open_store(PLACE) as store:
            yield store


@pytest.mark.parametrize("heeds_ranges", [True, False])
async def test_an_object_that_breaks_off_is_read_on(
    monkeypatch: pytest.MonkeyPatch, heeds_ranges: bool
) -> None:
    failing = Failing(text=b"0123456789" * 100, cut_after=400, heeds_ranges=heeds_ranges)
    async with at(failing, monkeypatch) as store:
        if heeds_ranges:
            with await store.fetch("USERS", "s3://bucket/users.csv") as file:
                assert file.read() == failing.text
            assert failing.answers == 3
        else:
            with pytest.raises(InputError, match="broke off 4 times") as caught:
                await store.fetch("USERS", "s3://bucket/users.csv")
            assert is_one_sentence(caught.value)
            failing.cut_after = 1000
            with await store.fetch("USERS", "s3://bucket/users.csv") as file:
                assert file.read() == failing.text


async def test_object_that_changes_while_read_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failing = Failing(text=b"0123456789" * 100, cut_after=400, changes=True)
    async with at(failing, monkeypatch) as store:
        with pytest.raises(InputError, match="changed while it was read: run again") as caught:
            await store.fetch("USERS", "s3://bucket/users.csv")
    assert is_one_sentence(caught.value)


async def test_lost_response_does_not_make_our_object_a_foreign_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failing = Failing(lost=True)
    async with at(failing, monkeypatch) as store:
        await store.put("--report", "s3://bucket/r.csv", iter([b"mine"]), overwrite=False)
    # The SDK asked again and was answered that the object is there: it is ours.
    assert failing.completed_with == ["*", "*"]
    assert failing.written is not None
    assert b"mine" in failing.written
    assert failing.aborted == 0


async def test_unsupported_condition_falls_back_to_a_check_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failing = Failing(unknown_header=True)
    async with at(failing, monkeypatch) as store:
        await store.put("--report", "s3://bucket/r.csv", iter([b"mine"]), overwrite=False)
    assert failing.completed_with == ["*", None]
    assert failing.written is not None


async def test_page_in_place_of_s3_is_reported_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def page(_: web.Request) -> web.Response:
        return web.Response(text="<title>Please sign in", content_type="text/html")

    failing = Failing()
    monkeypatch.setattr(failing, "get", page)
    async with at(failing, monkeypatch) as store:
        with pytest.raises(
            InputError, match="cannot be read: S3 sent no readable response"
        ) as caught:
            await store.fetch("USERS", "s3://bucket/users.csv")
    assert is_one_sentence(caught.value)


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("AccessDenied", "may not be written: allow the credentials s3:PutObject."),
        ("InvalidDigest", "cannot be written: InvalidDigest; check the address, --region and S3's"),
        ("NoSuchBucket", "cannot be written: there is no bucket bucket."),
    ],
)
async def test_failed_upload_leaves_nothing_and_is_reported(
    monkeypatch: pytest.MonkeyPatch, code: str, sentence: str
) -> None:
    failing = Failing(refuses_parts=code)
    async with at(failing, monkeypatch) as store:
        with pytest.raises(ReportError) as caught:
            await store.put("--report", "s3://bucket/r.csv", iter([b"mine"]), overwrite=False)
    assert f"--report s3://bucket/r.csv {sentence}" in str(caught.value)
    assert is_one_sentence(caught.value)
    assert (failing.written, failing.aborted) == (None, 1)


async def test_without_a_temporary_folder_nothing_is_fetched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def none(**_: Any) -> Any:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr("tempfile.TemporaryFile", none)
    async with at(Failing(text=b"username\n"), monkeypatch) as store:
        with pytest.raises(InputError, match="No usable temporary directory") as caught:
            await store.fetch("USERS", "s3://bucket/users.csv")
    assert is_one_sentence(caught.value)


async def test_full_disk_is_reported_with_a_fix(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    full = Path("/dev/full")
    monkeypatch.setattr("tempfile.TemporaryFile", lambda **_: full.open("wb", buffering=0))
    async with at(Failing(text=b"username\n"), monkeypatch) as store:
        with pytest.raises(
            InputError, match=r"No space left on device\). Free disk space"
        ) as caught:
            await store.fetch("USERS", "s3://bucket/users.csv")
    assert is_one_sentence(caught.value)
