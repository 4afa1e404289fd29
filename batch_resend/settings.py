"""Settings: the choices of the operator, checked once, then frozen.

Durations are seconds, rates requests per second. `Settings` holds no secret: where the
client secret comes from is a setting, the secret itself is read when it is needed.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

from batch_resend.aws import s3_address
from batch_resend.conversion import (
    Failures,
    MaybeMoment,
    MaybePath,
    MaybeSeconds,
    MaybeSecret,
    Pairs,
    Patterns,
    Seconds,
)
from batch_resend.errors import UsageError
from batch_resend.job.engine import Limits
from batch_resend.job.pace import DEFAULT_QUOTA
from batch_resend.job.plan import Eligibility
from batch_resend.job.planner import Selection
from batch_resend.job.request import Template
from batch_resend.job.summary import MaxFailures
from batch_resend.job.waves import Waves, room
from batch_resend.ledger.dynamodb.address import is_table, table_address
from batch_resend.ledger.policy import ResendUnknown, SendPolicy
from batch_resend.sources import Format
from batch_resend.wording import duration, listed

UNCONFIRMED_FILTER = 'cognito:user_status = "UNCONFIRMED"'

_POOL_ID = re.compile(r"([a-z]{2,}(?:-[a-z]+)+-\d+)_[0-9A-Za-z]+")
HOW_WAVES = "use the number of users in each wave, such as 10,100,rest; rest comes last."
#: Seconds, with a ledger in a file (as far as its records are looked for) and with one in a table.
_LONGEST_TIMEOUTS = (300.0, 120.0)
_CLIENT_ID = re.compile(r"[\w+]{1,128}")  # service model of cognito-idp, `ClientIdType`


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One run. The names are those of the options of `batch-resend run`."""

    users: MaybePath = MaybePath(None)
    user: tuple[str, ...] = ()  #: named one by one, in place of `users`
    format: Format | None = None  #: None is found out
    client_id: str = ""
    user_pool_id: str = ""
    filter: str | None = None
    username_column: str | None = None
    header: bool = True
    case_sensitive: bool | None = None  #: None is the pool's own setting, where it can be read
    one_per_address: bool = False
    resolve: bool = False
    delimiter: str | None = None
    encoding: str | None = None
    older_than: MaybeSeconds = MaybeSeconds(None)
    newer_than: MaybeSeconds = MaybeSeconds(None)
    since: MaybeMoment = MaybeMoment(None)  #: in seconds since 1970
    match: Patterns = Patterns(())
    exclude: MaybePath = MaybePath(None)
    limit: int | None = None
    sample: int | None = None
    waves: Waves = ()  #: users in each; None, in the last place, is the rest
    client_secret: MaybeSecret = MaybeSecret(None)  #: from Python only
    client_secret_file: MaybePath = MaybePath(None)
    client_secret_id: str | None = None
    fetch_client_secret: bool = False
    metadata: Pairs = Pairs(())
    ip_address: str = ""
    encoded_data: str = ""
    analytics_endpoint_id: str = ""
    rate: float | None = None  #: None is `auto`
    share: float = 0.5
    concurrency: int = 64
    max_attempts: int = 5
    timeout: Seconds = Seconds(10.0)
    deadline: MaybeSeconds = MaybeSeconds(None)
    dry_run: bool = False
    max_sent: int | None = None
    max_failures: Failures = Failures(MaxFailures(part=0.5))
    give_up_after: Seconds = Seconds(300.0)
    ledger: MaybePath = MaybePath(None)
    create_ledger: bool = False
    max_sends: int = 1
    cooldown: Seconds = Seconds(24 * 3600.0)
    resend_unknown: ResendUnknown | None = None
    report: MaybePath = MaybePath(None)
    overwrite: bool = False
    failed: MaybePath = MaybePath(None)
    html: MaybePath = MaybePath(None)
    summary: MaybePath = MaybePath(None)
    mask: bool = True
    profile: str = ""
    region: str = ""
    endpoint_url: str = ""
    simulate: bool = False

    def __post_init__(self) -> None:
        """Check what can be checked without looking at anything; raises `UsageError`."""
        self._check_who()
        self._check_names()
        self._check_choice()
        self._check_secret()
        self._check_files()
        for option, value, least in (
            ("--limit", self.limit, 1),
            ("--sample", self.sample, 1),
            ("--max-sent", self.max_sent, 1),
            ("--max-sends", self.max_sends, 0),
            ("--concurrency", self.concurrency, 1),
            ("--max-attempts", self.max_attempts, 1),
        ):
            if value is not None and value < least:
                raise UsageError(f"{option} {value} is too low. The minimum is {least}.")
        limits = {"--timeout": self.timeout, "--give-up-after": self.give_up_after}
        for option, seconds in limits.items():
            if not 0 < seconds < math.inf:
                raise UsageError(f"{option} {seconds:g}s is not valid. Use a duration above 0.")
        ages = {"--cooldown": self.cooldown, "--deadline": self.deadline}
        ages |= {"--older-than": self.older_than, "--newer-than": self.newer_than}
        for option, age in ages.items():
            if age is not None and not 0 <= age < math.inf:
                raise UsageError(f"{option} {age:g}s is not a valid duration.")
        longest = _LONGEST_TIMEOUTS[self.ledger is not None and is_table(self.ledger)]
        if self.timeout > longest:
            raise UsageError(
                f"--timeout {duration(self.timeout)} is too long. With this ledger the maximum is"
                f" {duration(longest)}: a later response cannot be distinguished from a lost one."
            )
        if self.rate is not None and not 0 < self.rate < math.inf:
            raise UsageError(f"--rate {self.rate:g} is not a valid rate. It must be above 0.")
        if not 0 < self.share <= 1:
            raise UsageError(
                f"--share {self.share:g} is not a valid share. Use a number above 0, up to 1."
            )

    def _check_who(self) -> None:
        _check_ids(self.user_pool_id, self.client_id)
        if not self.client_id and not self.simulate:
            raise UsageError("--client-id is missing. Use the ID of the pool's app client.")

    def check_users(self) -> None:
        """Check that there are users; raises `UsageError`. From Python they can come later."""
        if self.resolve and self.is_listing:
            raise UsageError("--resolve looks up the addresses of a file. Name one, or use --user.")
        if self.is_listing and not self.user_pool_id and not self.simulate:
            raise UsageError(
                "No users given. Pass a CSV file (or - for standard input), or --user-pool-id to"
                " list the pool's unconfirmed users."
            )

    def _check_names(self) -> None:
        if self.users is not None and self.user:
            raise UsageError(f"--user and {self.users} cannot be combined. Use one of them.")
        if self.user and self.format is not None:
            raise UsageError("--format describes a file. Leave it out with --user.")
        if not all(name.strip() for name in self.user):
            raise UsageError("--user is empty. Use a username.")
        if self.resolve and not self.user_pool_id and not self.simulate:
            raise UsageError("--resolve needs --user-pool-id.")
        if self.is_listing:
            return
        if self.filter is not None and self.users is not None:
            raise UsageError(
                f"--filter needs a listing: leave out {self.users}, or use --match on a column."
            )
        for option, value in (
            ("--filter", self.filter),
            ("--older-than", self.older_than),
            ("--newer-than", self.newer_than),
            ("--since", self.since),
            ("--one-per-address", (self.one_per_address and not self.resolve) or None),
        ):
            if value is not None and self.user:
                raise UsageError(f"{option} needs a listing or a file. Leave it out with --user.")

    @property
    def needs_dates(self) -> bool:
        """Whether every user must come with the date of their sign-up."""
        ages = (self.older_than, self.newer_than, self.since)
        wanted = self.one_per_address or any(age is not None for age in ages)
        return wanted and not self.resolve  # else the pool has them

    def _check_choice(self) -> None:
        if (self.older_than or 0.0) >= (math.inf if self.newer_than is None else self.newer_than):
            raise UsageError(
                "--older-than and --newer-than exclude every user: --newer-than must be the longer"
                " duration."
            )
        if self.limit is not None and self.sample is not None:
            raise UsageError("--limit and --sample cannot be combined.")
        if None in self.waves[:-1] or any(size is not None and size < 1 for size in self.waves):
            sizes = ",".join("rest" if size is None else str(size) for size in self.waves)
            raise UsageError(f"--waves {sizes}: {HOW_WAVES}")
        keys = [key for key, _ in self.metadata]
        if twice := next((key for key in keys if keys.count(key) > 1), None):
            raise UsageError(f"--metadata {twice} is given twice. Use each key once.")

    def _check_secret(self) -> None:
        origins = [
            option
            for option, value in (
                ("--client-secret-file", self.client_secret_file),
                ("--client-secret-id", self.client_secret_id),
                ("--fetch-client-secret", self.fetch_client_secret),
            )
            if value
        ]
        if len(origins) > 1:
            raise UsageError(f"{listed(origins)} cannot be combined.")
        if self.fetch_client_secret and not self.user_pool_id:
            raise UsageError("--fetch-client-secret needs --user-pool-id.")

    def _check_files(self) -> None:
        _check_ledger(self.ledger)
        if self.html is not None and _place("--report", self.report or "") == "-":
            raise UsageError("--html is made of the report, so --report cannot be -. Use a file.")
        seen: dict[str, str] = {}
        for option, path in self.inputs():
            if path != "-":
                seen.setdefault(_place(option, path), option)
        for option, path in self.outputs():
            place = _place(option, path)
            if place in seen and place != "/dev/null":
                raise UsageError(f"{option} {path} is {seen[place]} too. Use different files.")
            seen.setdefault(place, option)

    def inputs(self) -> Iterator[tuple[str, str]]:
        """Yield the files that are read, with the option that names each."""
        return _named(
            ("the input", self.users),
            ("--exclude", self.exclude),
            ("--client-secret-file", self.client_secret_file),
        )

    @property
    def needs_a_ledger(self) -> bool:
        """Whether a run ends if it finds no ledger: then all users would count as new."""
        return not (self.create_ledger or self.dry_run or self.simulate)

    def outputs(self) -> Iterator[tuple[str, str]]:
        """Yield the files that are written, with the option that names each."""
        return _named(
            ("--report", self.report),
            ("--failed", self.failed),
            ("--html", self.html),
            ("--summary", self.summary),
        )

    @property
    def is_listing(self) -> bool:
        """Whether the users come from the pool itself."""
        return self.users is None and not self.user

    @property
    def uses_s3(self) -> bool:
        """Whether anything is read from or written to S3."""
        return any(
            s3_address.is_address(path) and option != "--client-secret-file"
            for option, path in (*self.inputs(), *self.outputs())
        )

    @property
    def names(self) -> frozenset[str]:
        """The columns or attributes that the settings refer to."""
        return self.template.names | {name for name, _ in self.match}

    @property
    def template(self) -> Template:
        """The parts of a request besides the name."""
        return Template(
            self.metadata, self.ip_address, self.encoded_data, self.analytics_endpoint_id
        )

    @property
    def eligibility(self) -> Eligibility:
        """Which users are meant."""
        return Eligibility(
            match=self.match,
            older_than=self.older_than,
            newer_than=self.newer_than,
            since=self.since,
        )

    @property
    def policy(self) -> SendPolicy:
        """How many messages a user may get."""
        return SendPolicy(
            cooldown=self.cooldown,
            max_sends=self.max_sends,
            resend_unknown=self.resend_unknown,
        )

    @property
    def limits(self) -> Limits:
        """How fast and how long."""
        return Limits(
            rate=DEFAULT_QUOTA * self.share if self.rate is None else self.rate,
            concurrency=self.concurrency,
            max_attempts=self.max_attempts,
            deadline=self.deadline,
            give_up_after=self.give_up_after,
            max_sent=self.max_sent,
            max_failures=self.max_failures,
            waves=self.waves,
        )

    @property
    def selection(self) -> Selection:
        """Which of the eligible: no more than the waves have room for."""
        limit, sample, most = self.limit, self.sample, room(self.waves)
        if most is not None and sample is not None:
            sample = min(sample, most)  # a smaller sample, not the first rows of a large one
        elif most is not None:
            limit = most if limit is None else min(limit, most)
        return Selection(limit=limit, sample=sample, one_per_address=self.one_per_address)

    @property
    def pool_region(self) -> str:
        """The Region of --region, else the pool's home, else ""."""
        return self.region or self.pool_home

    @property
    def pool_home(self) -> str:
        """The Region in the pool's ID, else ""."""
        return _home(self.user_pool_id)

    @property
    def ledger_target(self) -> LedgerTarget:
        """The ledger of this run, for those who read it or erase in it."""
        names = LedgerTarget.__dataclass_fields__
        return LedgerTarget(**{name: getattr(self, name) for name in names})


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerTarget:
    """The ledger that a command is about. The names are those of its options."""

    ledger: str | None = None
    client_id: str = ""
    user_pool_id: str = ""
    region: str = ""
    profile: str = ""
    endpoint_url: str = ""
    case_sensitive: bool | None = None

    def __post_init__(self) -> None:
        """Check what can be checked without looking at anything; raises `UsageError`."""
        _check_ids(self.user_pool_id, self.client_id)
        _check_ledger(self.ledger)

    @property
    def pool_region(self) -> str:
        """The Region of --region, else the pool's home, else ""."""
        return self.region or _home(self.user_pool_id)


def _home(user_pool_id: str) -> str:
    match = _POOL_ID.fullmatch(user_pool_id)
    return match[1] if match else ""


def _check_ids(user_pool_id: str, client_id: str) -> None:
    if user_pool_id and not _POOL_ID.fullmatch(user_pool_id):
        raise UsageError(
            f"--user-pool-id {user_pool_id!r} is not a valid user pool ID. Expected something like"
            " eu-west-1_AbCdEf123 (see the pool's overview in the console)."
        )
    if client_id and not _CLIENT_ID.fullmatch(client_id):
        raise UsageError(f"--client-id {client_id!r} is not a valid app client ID.")


def _check_ledger(ledger: str | None) -> None:
    if s3_address.is_address(ledger):
        raise UsageError(
            f"--ledger {ledger} cannot be in S3, which has no locking. Use a local file or"
            " dynamodb://TABLE."
        )
    if ledger is not None and is_table(ledger):
        table_address(ledger)


def _named(*files: tuple[str, str | None]) -> Iterator[tuple[str, str]]:
    return ((option, path) for option, path in files if path is not None)


def _place(option: str, path: str) -> str:
    """Return what two names of one file have in common."""
    if s3_address.is_address(path) and option != "--client-secret-file":
        return str(s3_address.address("USERS" if option == "the input" else option, path))
    return "-" if path in {"-", "/dev/stdout", "/dev/fd/1"} else os.path.realpath(path)
