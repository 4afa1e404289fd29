"""The options of `run`, and those that other commands share with it: one row per option.

The order is that of the help and of the reference page. What a value means and how it is
checked stands in `parsing` and `Settings`; what an option is in `option`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from batch_resend.cli import completion, parsing
from batch_resend.cli.option import Option, Values, read
from batch_resend.errors import UsageError

if TYPE_CHECKING:
    from batch_resend.settings import LedgerTarget, Settings

EVERYDAY = "Everyday options"
USERS_PANEL = "Users"
MESSAGE = "Message"
SPEED = "Speed"
GUARDS = "Guards"
MEMORY = "Memory"
RESULTS = "Results"
DISPLAY = "Display"
AWS = "AWS"
CONFIGURATION = "Configuration"

# fmt: off
USERS = Option(
    flag="USERS", metavar="USERS",
    help="A CSV, JSON, JSON Lines or Excel file, - for standard input, or s3://bucket/key. Without"
    " it, the unconfirmed users of --user-pool-id.",
)

CLIENT_ID = Option(
    flag="--client-id", metavar="ID", panel=EVERYDAY,
    help="App client ID. (required)", note="Not needed with `--simulate`.",
)
USER_POOL_ID = Option(
    flag="--user-pool-id", metavar="ID", panel=EVERYDAY,
    help="User pool ID: the pool to list and to check. Its prefix sets the default Region.",
)
CLIENT_SECRET_FILE = Option(
    flag="--client-secret-file", metavar="FILE", panel=EVERYDAY,
    help="File with the app client's secret and nothing else. Or set BATCH_RESEND_CLIENT_SECRET.",
)
REGION = Option(
    flag="--region", metavar="NAME", panel=EVERYDAY,
    help="AWS Region.", otherwise="the pool's, else as in the AWS CLI",
)
DRY_RUN = Option(
    flag="--dry-run", short="-n", panel=EVERYDAY,
    help="Preview: show who would be sent a code, without sending.",
)
YES = Option(
    flag="--yes", short="-y", panel=EVERYDAY, help="Do not ask for confirmation.",
    note="Without it the run asks at a terminal and refuses where there is none; `--dry-run` and"
    " `--simulate` never ask.",
)
LIMIT = Option(
    flag="--limit", metavar="COUNT", panel=EVERYDAY, parse=parsing.whole,
    help="Send to the first COUNT eligible users only.",
)
REPORT = Option(
    flag="--report", metavar="PATH", panel=EVERYDAY, otherwise="resend-report-<UTC time>.csv",
    help="Results as CSV, one row per input row; - for standard output.",
    note="As with all results: `s3://...` for [S3](../reports/README.md#places), `.gz` for gzip.",
)
HTML = Option(
    flag="--html", metavar="PATH", panel=EVERYDAY,
    help="Results as a web page; - for standard output.",
)
SIMULATE = Option(
    flag="--simulate", panel=EVERYDAY,
    help="Run against the embedded Cognito instead of AWS.",
    note="Needs no app client ID, Region or credentials.",
)

USER = Option(
    flag="--user", metavar="NAME", panel=USERS_PANEL, repeat=True,
    help="One user, in place of USERS; repeatable.",
)
FORMAT = Option(
    flag="--format", metavar="csv|json|jsonl|xlsx", panel=USERS_PANEL, parse=parsing.file_format,
    help="Format of USERS.", otherwise="detected", complete=completion.FORMATS,
)
FILTER = Option(
    flag="--filter", metavar="EXPR", panel=USERS_PANEL,
    help="Filter for ListUsers, passed as is (listing only).",
    otherwise='cognito:user_status = "UNCONFIRMED"',
)
USERNAME_COLUMN = Option(
    flag="--username-column", metavar="NAME", panel=USERS_PANEL,
    help="CSV column with the username.", otherwise="found by its name",
)
NO_HEADER = Option(
    flag="--no-header", panel=USERS_PANEL, field="header",
    help="The CSV has no header; its columns are 1, 2 and so on.",
)
CASE_SENSITIVE = Option(
    flag="--case-sensitive/--no-case-sensitive", panel=USERS_PANEL,
    help="Whether names that differ only in case are different users.",
    otherwise="the pool's setting",
)
ONE_PER_ADDRESS = Option(
    flag="--one-per-address", panel=USERS_PANEL,
    help="Only the newest account of each address.",
    note="From a listing, or a file with `UserCreateDate`.",
)
RESOLVE = Option(
    flag="--resolve", panel=USERS_PANEL,
    help="USERS holds email addresses or telephone numbers: look each up in the pool first.",
    note="Needs `--user-pool-id`; see [addresses](../sources/README.md#addresses).",
)
DELIMITER = Option(
    flag="--delimiter", metavar="CHAR", panel=USERS_PANEL,
    help="Delimiter of the CSV; tab for a tab.", otherwise="detected",
)
ENCODING = Option(
    flag="--encoding", metavar="NAME", panel=USERS_PANEL,
    help="Encoding of the CSV.", otherwise="detected",
)
OLDER_THAN = Option(
    flag="--older-than", metavar="DURATION", panel=USERS_PANEL, parse=parsing.duration,
    help="Only users who signed up at least this long ago.",
    note="From a listing, or a file with `UserCreateDate`.",
)
NEWER_THAN = Option(
    flag="--newer-than", metavar="DURATION", panel=USERS_PANEL, parse=parsing.duration,
    help="Only users who signed up within DURATION.",
    note="From a listing, or a file with `UserCreateDate`.",
)
SINCE = Option(
    flag="--since", metavar="DATE", panel=USERS_PANEL, parse=parsing.moment,
    help="Only users who signed up on DATE or later, such as 2026-11-01.",
    note="With a time: `2026-11-01T09:30Z`. From a listing, or a file with `UserCreateDate`.",
)
MATCH = Option(
    flag="--match", metavar="ATTR=REGEX", panel=USERS_PANEL, repeat=True, pairs=True,
    parse=parsing.match,
    help="Only users whose column or attribute matches; repeatable, all must match.",
)
EXCLUDE = Option(
    flag="--exclude", metavar="FILE", panel=USERS_PANEL,
    help="List of users who must not be sent a code.",
)
SAMPLE = Option(
    flag="--sample", metavar="COUNT", panel=USERS_PANEL, parse=parsing.whole,
    help="Send to COUNT eligible users only, drawn at random.",
)
WAVES = Option(
    flag="--waves", metavar="N,...,rest", panel=USERS_PANEL, parse=parsing.waves,
    help="Send in waves, such as 10,100,rest. Each starts only if the last one stayed under"
    " --max-failures.",
)

CLIENT_SECRET_ID = Option(
    flag="--client-secret-id", metavar="ID", panel=MESSAGE,
    help="The app client's secret: ARN or name in Secrets Manager, or ssm:NAME, a parameter.",
    note="A parameter of AWS Systems Manager; its ARN will do too.",
)
FETCH_CLIENT_SECRET = Option(
    flag="--fetch-client-secret", panel=MESSAGE,
    help="Fetch the secret from Cognito (DescribeUserPoolClient).", note="Needs `--user-pool-id`.",
)
METADATA = Option(
    flag="--metadata", metavar="KEY=VALUE", panel=MESSAGE, repeat=True, pairs=True,
    parse=parsing.key_value,
    help="ClientMetadata for the pool's triggers; KEY=@NAME takes the row's column; repeatable.",
)
IP_ADDRESS = Option(
    flag="--ip-address", metavar="VALUE", panel=MESSAGE,
    help="IP address for UserContextData; @NAME takes the row's column.",
)
ENCODED_DATA = Option(
    flag="--encoded-data", metavar="VALUE", panel=MESSAGE,
    help="Encoded data for UserContextData; @NAME takes the row's column.",
)
ANALYTICS_ENDPOINT_ID = Option(
    flag="--analytics-endpoint-id", metavar="VALUE", panel=MESSAGE,
    help="Endpoint ID for AnalyticsMetadata; @NAME takes the row's column.",
)

RATE = Option(
    flag="--rate", metavar="auto|N", panel=SPEED, parse=parsing.rate, default="auto",
    help="Maximum requests per second. auto: --share of the quota.",
    note="Where the quota is not known, of 50.",
)
SHARE = Option(
    flag="--share", metavar="0-1", panel=SPEED, parse=parsing.number,
    help="Part of the quota to use.", note="Above 0, up to 1.",
)
CONCURRENCY = Option(
    flag="--concurrency", metavar="COUNT", panel=SPEED, parse=parsing.whole,
    help="Maximum requests in flight.",
)
MAX_ATTEMPTS = Option(
    flag="--max-attempts", metavar="COUNT", panel=SPEED, parse=parsing.whole,
    help="Attempts per user where it is certain that nothing was sent.",
)
TIMEOUT = Option(
    flag="--timeout", metavar="DURATION", panel=SPEED, parse=parsing.duration,
    help="Maximum time for one request; at most 5m, and 2m with a ledger in DynamoDB.",
)
DEADLINE = Option(
    flag="--deadline", metavar="DURATION", panel=SPEED, parse=parsing.duration,
    help="Start no new users after this long.",
    note="Counts from the start, without the time that the question waits for its answer.",
)

MAX_SENT = Option(
    flag="--max-sent", metavar="COUNT", panel=GUARDS, parse=parsing.whole,
    help="Stop after COUNT accepted messages.",
)
MAX_FAILURES = Option(
    flag="--max-failures", metavar="N|P%", panel=GUARDS, parse=parsing.max_failures,
    help="Stop when more than this many requests failed or are unknown.",
    note="A percentage counts from 100 users on, and at the end of a"
    " [wave](../sources/README.md#choosing-among-them) of any size.",
)
GIVE_UP_AFTER = Option(
    flag="--give-up-after", metavar="DURATION", panel=GUARDS, parse=parsing.duration,
    help="Stop after this long without an accepted request.",
    note="Silence, throttling or a firewall.",
)

LEDGER = Option(
    flag="--ledger", metavar="PATH", panel=MEMORY,
    help="The record of who was sent what, or dynamodb://TABLE for several machines.",
    otherwise="one file per Region and app client", note="With `--simulate` a throwaway one.",
)
CREATE_LEDGER = Option(
    flag="--create-ledger", panel=MEMORY,
    help="Allow a new, empty ledger without a terminal.",
    note="Else a run that finds no ledger, and asks no question, is refused.",
)
MAX_SENDS = Option(
    flag="--max-sends", metavar="COUNT", panel=MEMORY, parse=parsing.whole,
    help="Maximum messages per user over all runs; 0 for no maximum.",
)
COOLDOWN = Option(
    flag="--cooldown", metavar="DURATION", panel=MEMORY, parse=parsing.duration,
    help="Minimum time between two messages to a user.",
)
RESEND_UNKNOWN = Option(
    flag="--resend-unknown", metavar="WHICH", panel=MEMORY, parse=parsing.resend_unknown,
    help="Send again where an earlier outcome is unknown; a user may get two messages. WHICH:"
    " not-recorded or all.", complete=completion.UNKNOWN,
)

OUTPUT = Option(
    flag="--output", metavar="PATH", panel=RESULTS, environment=False, default="-",
    help="Where to write; - for standard output.",
)
OVERWRITE = Option(flag="--overwrite", panel=RESULTS, help="Replace files that exist.")
FAILED = Option(
    flag="--failed", metavar="PATH", panel=RESULTS,
    help="The input rows to try again, verbatim.",
)
SUMMARY = Option(
    flag="--summary", metavar="PATH", panel=RESULTS,
    help="Summary as one JSON object; - for standard output.",
)
RUN_JSON = Option(
    flag="--json", panel=RESULTS,
    help="Summary as one JSON object on standard output: the same as --summary -.",
)
PING_URL = Option(
    flag="--ping-url", metavar="URL", panel=RESULTS,
    help="URL of a check at healthchecks.io. It is a secret: better in BATCH_RESEND_PING_URL.",
)
METRICS = Option(
    flag="--metrics", metavar="emf|textfile:PATH", panel=RESULTS, complete=completion.METRICS,
    help="Metrics: lines for CloudWatch on standard output, or a file for Prometheus.",
)

QUIET = Option(flag="--quiet", short="-q", panel=DISPLAY, help="Show only the summary and errors.")
VERBOSE = Option(
    flag="--verbose", short="-v", panel=DISPLAY,
    help="Show a line for each row that is not sent a code.",
)
DEBUG = Option(
    flag="--debug", panel=DISPLAY,
    help="Show a line for each request: status, milliseconds, request ID and rate.",
    note="Names are masked. Not with several pools.",
)
LOG_FORMAT = Option(
    flag="--log-format", metavar="text|json", panel=DISPLAY, default="text",
    parse=parsing.log_format, complete=completion.LOG_FORMATS,
    help="json: one object per line.",
)
NO_PROGRESS = Option(
    flag="--no-progress", panel=DISPLAY,
    help="No live display; one line every 30 seconds instead.",
)
NO_MASK = Option(flag="--no-mask", panel=DISPLAY, field="mask", help="Show names in full.")

PROFILE = Option(
    flag="--profile", metavar="NAME", panel=AWS, complete=completion.profiles,
    help="AWS profile, as in the AWS CLI.",
)
ENDPOINT_URL = Option(
    flag="--endpoint-url", metavar="URL", panel=AWS,
    help="Cognito endpoint URL; http only for this machine.",
)

CONFIG = Option(
    flag="--config", metavar="FILE", panel=CONFIGURATION,
    help="TOML file with options by their names.",
)
POOL = Option(
    flag="--pool", metavar="NAME", panel=CONFIGURATION, repeat=True, complete=completion.pools,
    help="Table pools.NAME of the file; run takes several.",
    note="Several pools are run [side by side](../pools/README.md).",
)
ALL_POOLS = Option(
    flag="--all-pools", panel=CONFIGURATION, help="All tables pools.NAME, side by side.",
)
# fmt: on

RUN = (
    USERS,
    *(CLIENT_ID, USER_POOL_ID, CLIENT_SECRET_FILE, REGION, DRY_RUN, YES, LIMIT, REPORT, HTML),
    *(SIMULATE, USER, FORMAT, FILTER, USERNAME_COLUMN, NO_HEADER, CASE_SENSITIVE),
    *(ONE_PER_ADDRESS, RESOLVE, DELIMITER, ENCODING, OLDER_THAN, NEWER_THAN, SINCE, MATCH, EXCLUDE),
    *(SAMPLE, WAVES, CLIENT_SECRET_ID, FETCH_CLIENT_SECRET, METADATA, IP_ADDRESS, ENCODED_DATA),
    *(ANALYTICS_ENDPOINT_ID, RATE, SHARE, CONCURRENCY, MAX_ATTEMPTS, TIMEOUT, DEADLINE, MAX_SENT),
    *(MAX_FAILURES, GIVE_UP_AFTER, LEDGER, CREATE_LEDGER, MAX_SENDS, COOLDOWN),
    *(RESEND_UNKNOWN, OVERWRITE, FAILED, SUMMARY, RUN_JSON, PING_URL, METRICS, QUIET, VERBOSE),
    *(DEBUG, LOG_FORMAT, NO_PROGRESS, NO_MASK, PROFILE, ENDPOINT_URL, CONFIG, POOL, ALL_POOLS),
)

WHOSE_LEDGER = replace(CLIENT_ID, panel=MEMORY, help="App client ID: whose ledger it is.", note="")
ANY_CASE = replace(CASE_SENSITIVE, panel=USERS_PANEL, otherwise="they are the same user")
ONE_POOL = replace(POOL, help="Table pools.NAME of the file.", note="")
#: Which ledger a command is about.
TARGET = (
    WHOSE_LEDGER,
    replace(
        USER_POOL_ID, panel=MEMORY,
        help="User pool ID; its prefix sets the default Region. For status, also the pool to ask"
        " who has confirmed.",
    ),
    replace(LEDGER, note=""),
    *(replace(REGION, panel=AWS), PROFILE, ENDPOINT_URL, CONFIG, ONE_POOL),
)  # fmt: skip
JSON = Option(flag="--json", panel=RESULTS, help="One JSON object in place of text.")

FILES = tuple(row for row in RUN if row.is_path and row is not CONFIG)


def ledger_target(typed: Values) -> LedgerTarget:
    """Return which ledger is meant; raises `UsageError`."""
    from batch_resend.settings import LedgerTarget

    fields = LedgerTarget.__dataclass_fields__
    return LedgerTarget(**read([row for row in RUN if row.setting in fields], typed))


def files(typed: Values) -> dict[str, str | None]:
    """Return the files that were named, by what sentences call them."""
    return {"the input" if row is USERS else row.option: typed[row.name] for row in FILES}


def wants_json(arguments: Sequence[str]) -> bool:
    """Whether `--log-format json` is given, also where the command line cannot be parsed."""
    typed = os.environ.get("BATCH_RESEND_LOG_FORMAT", "")
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        if argument == "--":
            break
        if argument == "--log-format":
            typed = following
        elif argument.startswith("--log-format="):
            typed = argument.partition("=")[2]
    return typed == "json"


def of_run(typed: Values) -> dict[str, Any]:
    """Return what was typed after `run`, --json as the summary it means; raises `UsageError`."""
    if not typed["json"]:
        return dict(typed)
    if typed["summary"] not in (None, "-"):
        raise UsageError("--json and --summary cannot be combined.")
    return {**typed, "summary": "-"}


def read_settings(typed: Values) -> Settings:
    """Make settings of options as they were typed; raises `UsageError`."""
    from batch_resend.settings import Settings

    fields = Settings.__dataclass_fields__
    rows = [row for row in RUN if row.setting in fields]
    settings = Settings(**read(rows, typed))
    settings.check_users()
    return settings
