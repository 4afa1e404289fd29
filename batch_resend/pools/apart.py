"""The separation of the pools of one run: their ledgers, files and inputs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from batch_resend.errors import UsageError
from batch_resend.settings import Settings

_SUMMARY = "--summary"
_SECRET = "BATCH_RESEND_CLIENT_SECRET"  # noqa: S105 - its name


def check_apart(settings: Mapping[str, Settings], summary: str | None = None) -> None:
    """Refuse pools that would share a ledger, a file or an input; raises `UsageError`."""
    _check_clients(settings)
    written: dict[str, tuple[str, str]] = {}
    if summary is not None:
        written[_place(summary)] = ("all pools", _SUMMARY)
    for name, each in settings.items():
        ledger = [] if each.ledger is None else [("--ledger", each.ledger)]
        for option, path in (*ledger, *each.outputs()):
            if path == "/dev/null":
                continue
            other = written.setdefault(_place(path), (f"pool {name}", option))
            if other != (f"pool {name}", option):
                raise UsageError(
                    f"{option} {path} of pool {name} is {other[1]} of {other[0]} too: give each"
                    " a place of its own; {pool} in a path stands for the pool's name."
                )
    for name, each in settings.items():
        for _, path in each.inputs():
            if path != "-" and _place(path) in written:
                whose, option = written[_place(path)]
                raise UsageError(f"{option} {path} of {whose} would replace an input of {name}.")
    _only_one(
        (name for name, each in settings.items() if each.users == "-"),
        "read their users from standard input, which one of them can: give each a file.",
    )
    if _SECRET in os.environ:
        _only_one(
            (name for name, each in settings.items() if not _has_secret(each)),
            f"would take the secret in {_SECRET}, which is that of one client: give each its own,"
            " by client-secret-file in its table.",
        )


def _check_clients(settings: Mapping[str, Settings]) -> None:
    clients: dict[tuple[str, ...], list[str]] = {}
    for name, each in settings.items():
        if each.client_id:
            where = each.pool_region or f"profile {each.profile}"
            clients.setdefault((where, each.client_id, each.endpoint_url), []).append(name)
    for names in clients.values():
        _only_one(names, "have the same client and Region, so the same people: take one out.")


def _only_one(names: Iterable[str], sentence: str) -> None:
    if len(several := list(names)) > 1:
        raise UsageError(f"Pools {' and '.join(several)} {sentence}")


def _place(path: str) -> str:
    scheme, mark, rest = path.partition("://")
    if mark:
        return f"{scheme.lower()}://{rest}"  # dynamodb:// and s3:// are known in any case
    return path if path == "-" else os.path.realpath(path)


def _has_secret(settings: Settings) -> bool:
    return bool(
        settings.client_secret_file or settings.client_secret_id or settings.fetch_client_secret
    )
