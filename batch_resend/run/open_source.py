"""Where the users of a run come from, by its settings: a file, names, or the pool's listing."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from batch_resend.aws import s3, s3_address
from batch_resend.errors import InputError, UsageError
from batch_resend.masking import mask_argument, printable
from batch_resend.run.backends import SIMULATED_POOL, Backend, target_of
from batch_resend.settings import UNCONFIRMED_FILTER, Settings
from batch_resend.sources.file import FileSource
from batch_resend.sources.memory_users import MemoryUsers, Users
from batch_resend.sources.named_users import NamedUsers
from batch_resend.sources.planned_batch import BatchSource
from batch_resend.sources.text_input import Opener

if TYPE_CHECKING:  # they need the SDK, which a simulated run and --help do without
    from batch_resend.sources.cognito import CognitoSource
    from batch_resend.sources.resolved_users import ResolvedUsers

    Source = BatchSource | FileSource | CognitoSource | MemoryUsers | NamedUsers | ResolvedUsers

ADDRESSES = frozenset({"email", "phone_number"})  #: what --one-per-address goes by


def check_users(settings: Settings, *, by_caller: bool) -> None:
    """Check that there are users, in one place; raises `UsageError`.

    `by_caller`: a program passes them, beside the settings.
    """
    if not by_caller:
        settings.check_users()
        return
    for name in ("users", "user", "filter", "format"):
        if getattr(settings, name):
            raise UsageError(
                f"users= gives the users, and the settings' {name} does too. Use one of them."
            )


async def open_source(
    stack: contextlib.AsyncExitStack,
    settings: Settings,
    backend: Backend,
    store: s3.Store | None,
    elsewhere: BatchSource | Users | None = None,
    *,
    note: Callable[[str], None] = lambda _text: None,
) -> Source:
    """Open the source and check its columns; `stack` closes it. Raises `InputError`.

    `elsewhere` are users that were planned before, or those of a program, in place of those
    of the settings. `note` receives what a listing waits for.
    """
    source: Source
    if isinstance(elsewhere, BatchSource):
        source = elsewhere
    elif elsewhere is not None:
        source = MemoryUsers(
            elsewhere,
            username_column=settings.username_column,
            keep=_columns_to_keep(settings),
            dates=settings.needs_dates,
        )
    else:
        opener = await opener_of(stack, store, "USERS", settings.users)
        source = _source(settings, backend, opener, note)
    if settings.resolve and source is not elsewhere:
        from batch_resend.sources.resolved_users import ResolvedUsers

        source = ResolvedUsers(
            source,
            backend.listing,
            settings.user_pool_id or SIMULATED_POOL,
            newest=settings.one_per_address,
            note=note,
        )
    stack.push_async_callback(source.aclose)
    await source.open()
    _check_columns(settings, source.name, source.columns)
    return source


def _source(
    settings: Settings, backend: Backend, opener: Opener | None, note: Callable[[str], None]
) -> FileSource | CognitoSource | NamedUsers:
    if settings.users is not None:
        return _file_source(settings, settings.users, opener)
    if settings.user:
        return NamedUsers(settings.user)
    from batch_resend.sources.cognito import CognitoSource

    return CognitoSource(
        backend.listing,
        settings.user_pool_id or SIMULATED_POOL,
        filter=UNCONFIRMED_FILTER if settings.filter is None else settings.filter,
        keep=_columns_to_keep(settings),
        note=note,
    )


def _file_source(settings: Settings, users: str, opener: Opener | None = None) -> FileSource:
    if opener is None:
        _refuse_username(users)
    return FileSource(
        users,
        format=settings.format,
        username_column=settings.username_column,
        header=settings.header,
        delimiter=settings.delimiter,
        encoding=settings.encoding,
        keep=_columns_to_keep(settings),
        dates=settings.needs_dates,
        opener=opener,
    )


def _refuse_username(users: str) -> None:
    """Raise `InputError` if a username was passed in place of a file."""
    shown = mask_argument(users)
    if shown != printable(users) and not os.path.lexists(users):
        raise InputError(
            f"There is no file {shown}. Use --user for the name of a user, or pass a file that"
            " exists."
        )


def _columns_to_keep(settings: Settings) -> frozenset[str]:
    """Return the columns or attributes that are needed of each user."""
    by_address = settings.one_per_address and not settings.resolve
    return settings.names | (ADDRESSES if by_address else frozenset())


async def count_rows(settings: Settings) -> int | None:
    """Count the users who are named, None for a listing; raises `InputError`."""
    if settings.user:
        return len(settings.user)
    if settings.users is None:
        return None
    async with contextlib.AsyncExitStack() as stack:
        store = None
        if s3_address.is_address(settings.users):
            store = await stack.enter_async_context(s3.open_store(target_of(settings)))
        opener = await opener_of(stack, store, "USERS", settings.users)
        source = _file_source(settings, settings.users, opener)
        stack.push_async_callback(source.aclose)
        await source.open()
        batches = await stack.enter_async_context(contextlib.aclosing(source.batches()))
        return sum([len(batch) async for batch in batches])


async def opener_of(
    stack: contextlib.AsyncExitStack, store: s3.Store | None, option: str, path: str | None
) -> Opener | None:
    """Fetch an input in S3; None for any other."""
    if store is None or path is None or not s3_address.is_address(path):
        return None
    file = stack.enter_context(await store.fetch(option, path))
    return lambda _path, _flags: os.dup(file.fileno())


def _check_columns(settings: Settings, name: str, columns: frozenset[str] | None) -> None:
    if columns is None:
        return
    if settings.one_per_address and not settings.resolve and not ADDRESSES & columns:
        raise InputError(
            f"{name} has neither a column 'email' nor 'phone_number', and --one-per-address needs"
            " one of them."
        )
    for missing in sorted(settings.names - columns):
        raise InputError(
            f"{name} has no column {printable(missing)!r}, which --match or an @NAME asks for;"
            f" it has {', '.join(printable(column) for column in sorted(columns)[:10])}."
        )
