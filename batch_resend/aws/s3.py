"""Objects in S3 as places for users and results: `s3://bucket/key`.

The promises: an object is read whole, as one version of it, into a temporary file without
a name, a piece at a time; an object that changes while it is read, or breaks off, is
refused. An object is written whole or not at all, and replaces another only with
--overwrite. Write access is checked before the first message, without leaving anything
there. No exception of the AWS SDK leaves this module.

Encryption is the bucket's own default, checksums are the SDK's.
"""

from __future__ import annotations

import contextlib
import mimetypes
import secrets
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, TypedDict

import anyio
from anyio import to_thread

from batch_resend.aws import clients
from batch_resend.aws.endpoints import AwsTarget
from batch_resend.aws.refusals import clock_is_off, is_of_credentials, no_credentials
from batch_resend.aws.s3_address import Address, address
from batch_resend.errors import (
    BatchResendError,
    InputError,
    ReportError,
    SettingsError,
)
from batch_resend.masking import printable

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client
    from types_aiobotocore_s3.type_defs import (
        CompletedPartTypeDef,
        CompleteMultipartUploadRequestTypeDef,
        GetObjectRequestTypeDef,
    )

#: Bytes of a part of an upload; S3 accepts at least 5 MiB each and at most 10,000 parts.
PART = 8 << 20

_READ_AT_ONCE = 1 << 18
_TRIES = 4  #: how often a download that broke off is restarted or continued
_TO_ABORT = 3.0  #: seconds
_OURS = "batch-resend"  #: the metadata by which an upload recognizes its own object


_DENIED = {"AccessDenied", "AllAccessDisabled", "403"}
_MISSING = {"NoSuchKey", "404"}
_EXISTS = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}


class _Upload(TypedDict):
    """A multipart upload, with the names of S3's parameters."""

    Bucket: str
    Key: str
    UploadId: str


@contextlib.asynccontextmanager
async def open_store(target: AwsTarget) -> AsyncIterator[Store]:
    """Open S3, with the usual credentials; `target` is Cognito's."""
    async with clients.signed_client(target, clients.S3) as client:
        yield Store(client)


class Store:
    """S3, for reading and writing whole objects."""

    def __init__(self, client: S3Client) -> None:
        self._client = client

    async def fetch(self, option: str, path: str) -> IO[bytes]:
        """Read an object into a temporary file, positioned at its start.

        Raises `InputError`, or `SettingsError` if the credentials are at fault.
        """
        where = address(option, path)
        try:
            file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - the caller closes it
        except OSError as error:
            raise _no_room(where, error) from error
        try:
            await self._download(where, file)
        except BaseException:
            file.close()
            raise
        file.seek(0)
        return file

    async def _download(self, where: Address, file: IO[bytes]) -> None:
        name = printable(str(where))
        request: GetObjectRequestTypeDef = {"Bucket": where.bucket, "Key": where.key}
        for attempt in range(_TRIES):
            await anyio.sleep(attempt * 0.5)
            begun = file.tell()
            request.pop("Range", None)
            if begun:
                request["Range"] = f"bytes={begun}-"
            with _in_words(_reading(where)):
                answer = await self._client.get_object(**request)
                request["IfMatch"] = answer["ETag"]
            if begun and answer["ResponseMetadata"]["HTTPStatusCode"] != 206:
                file.seek(0)  # the whole object was sent again
                file.truncate()
            if await _pour(answer["Body"], file, where):
                return
        raise InputError(
            f"{name} broke off {_TRIES} times while it was read: check the network, then run again."
        )

    async def names(self, path: str) -> list[str]:
        """List the addresses that start with this one, in their order.

        Raises `InputError`, or `SettingsError` if the credentials are at fault.
        """
        where, names = address("the prefix", path), []
        doing = _Doing(printable(str(where)), where, "listed", "s3:ListBucket", InputError)
        with _in_words(doing):
            pages = self._client.get_paginator("list_objects_v2")
            async for page in pages.paginate(Bucket=where.bucket, Prefix=where.key):
                names += [
                    str(Address(where.bucket, one["Key"])) for one in page.get("Contents", ())
                ]
        return names

    async def check(self, option: str, path: str, *, overwrite: bool) -> None:
        """Check whether an object can be written there; leaves nothing behind.

        Raises `ReportError`, or `SettingsError` if the credentials are at fault.
        """
        where = address(option, path)
        with _in_words(_writing(option, where)):
            if not overwrite and await self._metadata(where) is not None:
                raise _exists(option, where)
            upload = await self._begin(where, {})
            await self._abort(upload)

    async def put(
        self, option: str, path: str, pieces: Iterator[bytes], *, overwrite: bool
    ) -> None:
        """Write an object whole; the pieces are made in a thread. Raises like `check`."""
        where = address(option, path)
        mark = {_OURS: secrets.token_hex(8)}
        with _in_words(_writing(option, where)):
            upload, arrived = await self._begin(where, mark), False
            try:
                parts = await self._upload(upload, pieces)
                await self._complete(upload, parts, overwrite=overwrite)
                arrived = True
            except Exception as error:
                # It may have succeeded, and its response was lost.
                arrived = await self._is_marked(where, mark)
                if not arrived and _code(error) in _EXISTS:
                    raise _exists(option, where) from error
                if not arrived:
                    raise
            finally:
                if not arrived:
                    await self._abort(upload)

    async def _is_marked(self, where: Address, mark: dict[str, str]) -> bool:
        with contextlib.suppress(Exception):
            return mark.items() <= (await self._metadata(where) or {}).items()
        return False

    async def _metadata(self, where: Address) -> dict[str, str] | None:
        """Return an object's metadata; None if there is none, or S3 does not report it."""
        from botocore.exceptions import ClientError

        try:
            answer = await self._client.head_object(Bucket=where.bucket, Key=where.key)
        except ClientError:
            return None  # a response without details: the next request shows the fault
        metadata: dict[str, str] = answer.get("Metadata", {})
        return metadata

    async def _begin(self, where: Address, metadata: dict[str, str]) -> _Upload:
        kind = "application/gzip" if where.key.lower().endswith(".gz") else None
        answer = await self._client.create_multipart_upload(
            Bucket=where.bucket,
            Key=where.key,
            Metadata=metadata,
            ContentType=kind or mimetypes.guess_type(where.key)[0] or "application/octet-stream",
        )
        return {"Bucket": where.bucket, "Key": where.key, "UploadId": answer["UploadId"]}

    async def _upload(self, upload: _Upload, pieces: Iterator[bytes]) -> list[CompletedPartTypeDef]:
        parts: list[CompletedPartTypeDef] = []
        # An empty object has one part, too.
        while (part := await to_thread.run_sync(_part, pieces)) or not parts:
            number = len(parts) + 1
            answer = await self._client.upload_part(**upload, PartNumber=number, Body=part)
            completed: Any = {"PartNumber": number}  # S3 chooses which checksums it returns
            completed |= {
                name: value
                for name, value in answer.items()
                if name == "ETag" or name.startswith("Checksum")
            }
            parts.append(completed)
        return parts

    async def _complete(
        self, upload: _Upload, parts: list[CompletedPartTypeDef], *, overwrite: bool
    ) -> None:
        request: CompleteMultipartUploadRequestTypeDef = {
            "Bucket": upload["Bucket"],
            "Key": upload["Key"],
            "UploadId": upload["UploadId"],
            "MultipartUpload": {"Parts": parts},
        }
        if not overwrite:
            request["IfNoneMatch"] = "*"
            try:
                await self._client.complete_multipart_upload(**request)
            except Exception as error:
                if _code(error) != "NotImplemented":  # as in some S3-compatible services
                    raise
            else:
                return
            del request["IfNoneMatch"]
        await self._client.complete_multipart_upload(**request)

    async def _abort(self, upload: _Upload) -> None:
        """Abort the upload; without the permission, the bucket's lifecycle rules remove it."""
        with anyio.move_on_after(_TO_ABORT, shield=True), contextlib.suppress(Exception):
            await self._client.abort_multipart_upload(**upload)


def _part(pieces: Iterator[bytes]) -> bytes:
    """Gather the next part, of about `PART` bytes; empty at the end."""
    part = bytearray()
    while len(part) < PART and (piece := next(pieces, None)) is not None:
        part += piece
    return bytes(part)


async def _pour(body: Any, file: IO[bytes], where: Address) -> bool:
    """Write the body to the file; return whether it is complete."""
    import aiohttp
    from botocore.exceptions import BotoCoreError

    async with body:
        while True:
            try:
                piece = await body.read(_READ_AT_ONCE)
            except (aiohttp.ClientError, BotoCoreError, TimeoutError, ConnectionError):
                return False
            if not piece:
                return True
            try:
                file.write(piece)
            except OSError as error:
                raise _no_room(where, error) from error


def _no_room(where: Address, error: OSError) -> InputError:
    return InputError(
        f"{printable(str(where))} cannot be kept in a temporary file ({error.strerror}). Free"
        " disk space, or set TMPDIR to another directory."
    )


def _exists(option: str, where: Address) -> ReportError:
    return ReportError(
        f"{option} {printable(str(where))} exists already: name another object, or give"
        " --overwrite to replace it."
    )


@dataclass(frozen=True, slots=True)
class _Doing:
    """An operation on an object, and the sentences for its errors."""

    what: str
    where: Address
    done: str
    permission: str
    error: type[BatchResendError]

    def refused(self, error: Any) -> BatchResendError:
        """Return the error for a response in which S3 refuses."""
        code = _code(error)
        if off := clock_is_off(error):
            return SettingsError(off)
        if is_of_credentials(error, in_s3=True):
            return self.no_credentials(code)
        if code == "NoSuchBucket":
            return self.cannot(f"there is no bucket {self.where.bucket}")
        if code in _MISSING:
            return self.cannot("there is no such object in the bucket")
        if code in _EXISTS:
            return self.error(f"{self.what} changed while it was {self.done}: run again.")
        if code in _DENIED:
            hidden = " (without s3:ListBucket it may also be missing)" * (self.done == "read")
            return self.error(
                f"{self.what} may not be {self.done}: allow the credentials"
                f" {self.permission}{hidden}."
            )
        return self.cannot(f"{printable(code)}; check the address, --region and S3's endpoint")

    def cannot(self, why: str) -> BatchResendError:
        """Return the error for an operation that failed."""
        return self.error(f"{self.what} cannot be {self.done}: {why}.")

    def no_credentials(self, why: str) -> SettingsError:
        """Return the error for credentials that cannot be used."""
        return SettingsError(
            f"The AWS credentials for {self.what} are missing, invalid or expired"
            f" ({printable(why)}): renew them or choose others with --profile."
        )


@contextlib.contextmanager
def _in_words(doing: _Doing) -> Iterator[None]:
    """Turn errors of S3 into a sentence for a person."""
    from botocore import exceptions as sdk
    from botocore.parsers import ResponseParserError

    try:
        yield
    except sdk.ClientError as error:
        raise doing.refused(error) from error
    except no_credentials() as error:
        raise doing.no_credentials(type(error).__name__) from error
    except (sdk.BotoCoreError, ResponseParserError, ValueError, TypeError, KeyError) as error:
        raise doing.cannot(
            f"S3 sent no readable response ({type(error).__name__}); check the network,"
            " --region and S3's endpoint"
        ) from error


def _reading(where: Address) -> _Doing:
    return _Doing(printable(str(where)), where, "read", "s3:GetObject", InputError)


def _writing(option: str, where: Address) -> _Doing:
    what = f"{option} {printable(str(where))}"
    return _Doing(what, where, "written", "s3:PutObject", ReportError)


def _code(error: BaseException) -> str:
    return str(getattr(error, "response", {}).get("Error", {}).get("Code", ""))
