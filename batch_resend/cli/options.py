"""The options: their names, variables and help, said once for all commands that have them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from batch_resend.cli import option_sources
from batch_resend.errors import UsageError

if TYPE_CHECKING:
    from batch_resend.settings import Settings


#: What is no setting of a run but says how the program itself goes about it.
OF_THE_PROGRAM = (
    *("yes", "quiet", "verbose", "no_progress", "log_format", "ping_url", "metrics"),
    *("config", "pool", "all_pools"),
)


def option(
    *names: str,
    panel: str,
    help: str,  # noqa: A002 - typer's own word
    metavar: str | None = None,
    **more: Any,
) -> Any:
    """Make an option with its environment variable."""
    variable = "BATCH_RESEND_" + names[0].split("/")[0].lstrip("-").upper().replace("-", "_")
    return typer.Option(
        *names, help=help, metavar=metavar, rich_help_panel=panel, envvar=variable,
        show_envvar=False, show_default=False, **more,
    )  # fmt: skip


def check_variables(context: typer.Context) -> None:
    """Refuse a variable that looks like an option's and is none: it may have meant --dry-run."""
    # Those of all commands: one environment serves them all.
    known = {"BATCH_RESEND_CLIENT_SECRET"} | option_sources.variables(context.find_root().command)
    for name in sorted(os.environ):
        if name.startswith("BATCH_RESEND_") and name not in known:
            import difflib

            near = difflib.get_close_matches(name, sorted(known), 1)
            raise UsageError(
                f"{name} is set and is no option's variable: unset it"
                + (f", or did you mean {near[0]}?" if near else ".")
            )


def wants_json(arguments: Sequence[str]) -> bool:
    """Whether `--log-format json` is given, also where the command line cannot be parsed."""
    given = os.environ.get("BATCH_RESEND_LOG_FORMAT", "")
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        if argument == "--":
            break
        if argument == "--log-format":
            given = following
        elif argument.startswith("--log-format="):
            given = argument.partition("=")[2]
    return given == "json"


def read_settings(given: dict[str, Any]) -> Settings:
    """Make settings of options as they were typed; raises `UsageError`."""
    from batch_resend.cli import parsing

    given = dict(given)
    for name in ("older_than", "newer_than", "timeout", "deadline", "give_up_after", "cooldown"):
        if given.get(name) is not None:
            given[name] = parsing.duration("--" + name.replace("_", "-"), given[name])
    reading: dict[str, Callable[[Any], Any]] = {
        "user": tuple,
        "match": parsing.matches,
        "metadata": lambda texts: parsing.key_values("--metadata", texts),
        "since": parsing.moment,
        "format": parsing.file_format,
        "rate": parsing.rate,
        "waves": parsing.waves,
        "resend_unknown": parsing.resend_unknown,
        "max_failures": parsing.max_failures,
    }
    for name, read in reading.items():
        if given.get(name) is not None:
            given[name] = read(given[name])
        elif name in {"user", "match", "metadata", "waves"}:
            given[name] = ()
    for name in ("header", "mask"):
        if f"no_{name}" in given:
            given[name] = not given.pop(f"no_{name}")
    from batch_resend.settings import Settings

    return Settings(**given)


def ledger_settings(**given: Any) -> Settings:
    """Make the settings of a run whose ledger is meant; nobody is to be written to."""
    from batch_resend.settings import Settings

    return Settings(users="-", simulate=not given["client_id"], **given)


Users = Annotated[
    str | None,
    typer.Argument(
        metavar="USERS",
        help="A CSV file, - for standard input, or s3://bucket/key. Without it the users are"
        " listed from --user-pool-id.",
        show_default=False,
    ),
]
User = Annotated[
    list[str] | None,
    option("--user", panel="Who", metavar="NAME", help="One user, in place of USERS; repeatable."),
]
Format = Annotated[
    str | None,
    option(
        "--format",
        panel="Who",
        metavar="csv|json|jsonl|xlsx",
        help="The format of USERS. (default: detected)",
    ),
]
UserPoolId = Annotated[
    str,
    option(
        "--user-pool-id",
        panel="Who",
        metavar="ID",
        help="The pool; its beginning is the default Region.",
    ),
]
Filter = Annotated[
    str | None,
    option(
        "--filter",
        panel="Who",
        metavar="EXPR",
        help="Passed to ListUsers as it is. (default: the unconfirmed)",
    ),
]
UsernameColumn = Annotated[
    str | None,
    option(
        "--username-column",
        panel="Who",
        metavar="NAME",
        help="CSV column of the username. (default: found by name)",
    ),
]
NoHeader = Annotated[
    bool,
    option("--no-header", panel="Who", help="The CSV has no header; its columns are 1, 2, ..."),
]
CaseSensitive = Annotated[
    bool,
    option(
        "--case-sensitive",
        panel="Who",
        help="Names that differ only in case are different users.",
    ),
]
CaseSensitiveOrNot = Annotated[
    bool | None,
    option(
        "--case-sensitive/--no-case-sensitive",
        panel="Who",
        help="Whether names that differ only in case are different users. (default: as the"
        " pool is set up)",
    ),
]
OnePerAddress = Annotated[
    bool,
    option(
        "--one-per-address",
        panel="Who",
        help="Only the newest account of an address (listing only).",
    ),
]
Delimiter = Annotated[
    str | None,
    option(
        "--delimiter",
        panel="Who",
        metavar="C",
        help="Between the CSV's cells. (default: sniffed)",
    ),
]
Encoding = Annotated[
    str | None,
    option("--encoding", panel="Who", metavar="E", help="Of the CSV. (default: sniffed)"),
]
OlderThan = Annotated[
    str | None,
    option("--older-than", panel="Who", metavar="D", help="Signed up longer ago (listing only)."),
]
NewerThan = Annotated[
    str | None,
    option(
        "--newer-than", panel="Who", metavar="D", help="Signed up less long ago (listing only)."
    ),
]
Since = Annotated[
    str | None,
    option(
        "--since",
        panel="Who",
        metavar="DATE",
        help="Only users who signed up on DATE or later, such as 2026-11-01 (listing only).",
    ),
]
Match = Annotated[
    list[str] | None,
    option(
        "--match",
        panel="Who",
        metavar="ATTR=REGEX",
        help="A column or attribute must match; repeatable.",
    ),
]
Exclude = Annotated[
    str | None,
    option("--exclude", panel="Who", metavar="FILE", help="Usernames never to write to."),
]
Limit = Annotated[
    int | None, option("--limit", panel="Who", metavar="N", help="Only the first N eligible.")
]
Sample = Annotated[
    int | None,
    option("--sample", panel="Who", metavar="N", help="Only N of the eligible, drawn at random."),
]
Waves = Annotated[
    str | None,
    option(
        "--waves",
        panel="Who",
        metavar="N,...,rest",
        help="In waves; the next only if the last stayed under --max-failures.",
    ),
]
ClientId = Annotated[
    str, option("--client-id", panel="What", metavar="ID", help="The app client. (required)")
]
ClientSecretFile = Annotated[
    str | None,
    option(
        "--client-secret-file",
        panel="What",
        metavar="FILE",
        help="The client's secret; or set BATCH_RESEND_CLIENT_SECRET.",
    ),
]
ClientSecretId = Annotated[
    str | None,
    option(
        "--client-secret-id",
        panel="What",
        metavar="ID",
        help="Its ARN or name in Secrets Manager.",
    ),
]
FetchClientSecret = Annotated[
    bool,
    option(
        "--fetch-client-secret",
        panel="What",
        help="Ask Cognito for it (DescribeUserPoolClient).",
    ),
]
Metadata = Annotated[
    list[str] | None,
    option(
        "--metadata",
        panel="What",
        metavar="KEY=VALUE",
        help="For the pool's triggers; KEY=@NAME takes the row's column; repeatable.",
    ),
]
IpAddress = Annotated[
    str,
    option("--ip-address", panel="What", metavar="V", help="UserContextData; @NAME as above."),
]
EncodedData = Annotated[
    str,
    option("--encoded-data", panel="What", metavar="V", help="UserContextData; @NAME as above."),
]
AnalyticsEndpointId = Annotated[
    str,
    option(
        "--analytics-endpoint-id",
        panel="What",
        metavar="V",
        help="AnalyticsMetadata; @NAME as above.",
    ),
]
Rate = Annotated[
    str,
    option(
        "--rate",
        panel="How fast",
        metavar="auto|N",
        help="Most requests a second. (default: auto, the --share of the quota)",
    ),
]
Share = Annotated[
    float,
    option(
        "--share",
        panel="How fast",
        metavar="F",
        help="Part of the quota to take. (default: 0.5)",
    ),
]
Concurrency = Annotated[
    int,
    option(
        "--concurrency",
        panel="How fast",
        metavar="N",
        help="Most requests in flight. (default: 64)",
    ),
]
MaxAttempts = Annotated[
    int,
    option(
        "--max-attempts",
        panel="How fast",
        metavar="N",
        help="Tries per user where nothing can have been sent. (default: 5)",
    ),
]
Timeout = Annotated[
    str,
    option("--timeout", panel="How fast", metavar="D", help="For one request. (default: 10s)"),
]
Deadline = Annotated[
    str | None,
    option("--deadline", panel="How fast", metavar="D", help="Start no new user after so long."),
]
DryRun = Annotated[
    bool,
    option(
        "--dry-run",
        panel="Guards",
        help="Everything but the sending: who, and who not and why.",
    ),
]
Yes = Annotated[bool, option("--yes", panel="Guards", help="Ask no question.")]
MaxSent = Annotated[
    int | None,
    option("--max-sent", panel="Guards", metavar="N", help="Stop after N accepted messages."),
]
MaxFailures = Annotated[
    str,
    option(
        "--max-failures",
        panel="Guards",
        metavar="N|P%",
        help="Stop when more failed or are unknown. (default: 50%)",
    ),
]
GiveUpAfter = Annotated[
    str,
    option(
        "--give-up-after",
        panel="Guards",
        metavar="D",
        help="Stop without any definite answer for so long. (default: 5m)",
    ),
]
Ledger = Annotated[
    str | None,
    option(
        "--ledger",
        panel="Memory",
        metavar="PATH",
        help="Who was sent what; dynamodb://TABLE for several machines. (default: one file per"
        " Region and client)",
    ),
]
CreateLedger = Annotated[
    bool,
    option("--create-ledger", panel="Memory", help="Allow a new, empty ledger without a prompt."),
]
RequireLedger = Annotated[
    bool,
    option("--require-ledger", panel="Memory", help="Refuse to begin with a new, empty ledger."),
]
MaxSends = Annotated[
    int,
    option(
        "--max-sends",
        panel="Memory",
        metavar="N",
        help="Messages per user over all runs; 0: no cap. (default: 1)",
    ),
]
Cooldown = Annotated[
    str,
    option("--cooldown", panel="Memory", metavar="D", help="Not again within. (default: 24h)"),
]
ResendUnknown = Annotated[
    str | None,
    option(
        "--resend-unknown",
        metavar="WHICH",
        panel="Memory",
        help="Send again where an earlier outcome is unknown; a user may get two messages."
        " WHICH: not-recorded or all.",
    ),
]
Report = Annotated[
    str | None,
    option(
        "--report",
        panel="Results",
        metavar="PATH",
        help="CSV of every row; - for standard output. (default: resend-report-<UTC time>.csv)",
    ),
]
Overwrite = Annotated[
    bool, option("--overwrite", panel="Results", help="Replace files that exist.")
]
Failed = Annotated[
    str | None,
    option(
        "--failed",
        panel="Results",
        metavar="PATH",
        help="The rows to try again, as they stood in the input.",
    ),
]
Html = Annotated[
    str | None,
    option(
        "--html",
        panel="Results",
        metavar="PATH",
        help="A page for people, made of the report; - for standard output.",
    ),
]
Summary = Annotated[
    str | None,
    option(
        "--summary",
        panel="Results",
        metavar="PATH",
        help="One JSON object; - for standard output.",
    ),
]
Quiet = Annotated[
    bool, option("--quiet", "-q", panel="Results", help="Only the summary and errors.")
]
Verbose = Annotated[
    bool,
    option(
        "--verbose", "-v", panel="Results", help="A line for every row that is not sent a code."
    ),
]
LogFormat = Annotated[
    str,
    option(
        "--log-format",
        panel="Results",
        metavar="text|json",
        help="json: one object a line. (default: text)",
    ),
]
NoProgress = Annotated[
    bool,
    option("--no-progress", panel="Results", help="No live display, but a line every 30 seconds."),
]
NoMask = Annotated[bool, option("--no-mask", panel="Results", help="Show names in full.")]
PingUrl = Annotated[
    str | None,
    option(
        "--ping-url",
        panel="Results",
        metavar="URL",
        help="Of a check at healthchecks.io; better in BATCH_RESEND_PING_URL: it is a secret.",
    ),
]
Metrics = Annotated[
    str | None,
    option(
        "--metrics",
        panel="Results",
        metavar="emf|textfile:PATH",
        help="Lines for CloudWatch on standard output, or a file for Prometheus.",
    ),
]
Profile = Annotated[
    str, option("--profile", panel="AWS", metavar="NAME", help="As in the AWS CLI.")
]
Region = Annotated[str, option("--region", panel="AWS", metavar="NAME", help="As in the AWS CLI.")]
EndpointUrl = Annotated[
    str,
    option(
        "--endpoint-url",
        panel="AWS",
        metavar="URL",
        help="Of Cognito; plain http only on this machine.",
    ),
]
Simulate = Annotated[
    bool,
    option("--simulate", panel="AWS", help="Run against the embedded Cognito instead of AWS."),
]
Config = Annotated[
    str | None,
    option(
        "--config",
        panel="Configuration",
        metavar="FILE",
        help="A TOML file with options by their names.",
        is_eager=True,
        callback=option_sources.take,
    ),
]
Pool = Annotated[
    list[str] | None,
    option(
        "--pool",
        panel="Configuration",
        metavar="NAME",
        help="Its table, pools.NAME; for a run repeatable.",
        is_eager=True,
        callback=option_sources.take,
    ),
]
AllPools = Annotated[
    bool,
    option(
        "--all-pools",
        panel="Configuration",
        help="All tables pools.NAME, side by side.",
        is_eager=True,
        callback=option_sources.take,
    ),
]
LedgerOf = Annotated[
    str, option("--client-id", panel="Memory", metavar="ID", help="Whose ledger: the app client.")
]
Json = Annotated[bool, option("--json", panel="Results", help="One JSON object in place of text.")]
