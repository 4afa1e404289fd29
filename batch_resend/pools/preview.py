"""What is about to happen in several pools: which of them share a quota, and the total. Pure.

The quota belongs to an account and Region. Which account a pool is in is known where AWS
could be asked; where it is not, it is taken to be any of the others': to share a pace that
need not be shared costs time, not to share one that must be costs live traffic.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from batch_resend.model import RunInfo
from batch_resend.preflight.preview import Approval, Preview
from batch_resend.wording import listed, per_second, some, span


@dataclass(frozen=True, slots=True)
class OneQuota:
    """Pools that draw from the same quota."""

    pools: tuple[str, ...]
    ceiling: float  #: requests per second for all of them together
    users: int

    @property
    def seconds(self) -> float:
        """How long their users take at the least, were the pace the only limit."""
        return max(0, self.users - 1) / self.ceiling


@dataclass(frozen=True, slots=True)
class PoolsPreview(Approval):
    """The plan of each pool, by its name."""

    pools: Mapping[str, Preview]

    @property
    def eligible(self) -> int:
        """How many are to be sent a code, in all pools."""
        return sum(preview.eligible for preview in self.pools.values())

    @property
    def quotas(self) -> list[OneQuota]:
        """The quotas that are drawn from, each with its pools.

        The ceiling is the highest of its pools' own, and none of these exceeds its own.
        """
        infos = {name: preview.info for name, preview in self.pools.items()}
        return [
            OneQuota(
                names,
                max(self.pools[name].rate for name in names),
                sum(self.pools[name].eligible for name in names),
            )
            for names in same_quota(infos)
        ]

    @property
    def seconds(self) -> float:
        """How long it takes at the least: as long as the slowest pool or quota."""
        estimates = [preview.estimate for preview in self.pools.values()]
        return max(
            [quota.seconds for quota in self.quotas]
            + [estimate.binding.finished_at - estimate.now for estimate in estimates]
        )


def same_quota(infos: Mapping[str, RunInfo]) -> list[tuple[str, ...]]:
    """Group pools by the quota that they draw from, given what each run is about."""
    places: dict[str, dict[str, str | None]] = {}
    for name, info in infos.items():
        place = info.region if info.endpoint_is_aws else info.endpoint
        places.setdefault(place, {})[name] = info.account
    groups = []
    for accounts in places.values():
        if None in accounts.values():
            groups.append(tuple(accounts))
            continue
        by_account: dict[str | None, list[str]] = {}
        for name, account in accounts.items():
            by_account.setdefault(account, []).append(name)
        groups += [tuple(names) for names in by_account.values()]
    return groups


def total_lines(preview: PoolsPreview) -> list[str]:
    """Return the totals of all pools in lines."""
    names = len(preview.pools)
    users = preview.eligible
    lines = [
        f"{names} pools together",
        f"  Will send       {some(users, 'code')}",
    ]
    lines += [
        f"  Rate limit      {per_second(quota.ceiling)} for {listed(quota.pools)} together"
        " (one quota)"
        for quota in preview.quotas
        if len(quota.pools) > 1
    ]
    if users:
        lines.append(f"  Duration        at least {span(preview.seconds)}")
    return lines
