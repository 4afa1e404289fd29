"""Facts about pool, client and account. Pure values.

`probe` determines them, `check` judges them. A fact that could not be determined is an
`Unknown`, with the permission that the call needs and the reason of the failure: never a
guess. The client secret itself is not a fact, only how the configured one compares with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from batch_resend.preflight.estimate import MailQuota, Messages, messages, own_sender

#: The triggers that a resend calls (Cognito Developer Guide, "Custom message", "Custom
#: sender"); the others of the pool do not run.
CUSTOM_MESSAGE, CUSTOM_MAIL, CUSTOM_TEXT = "CustomMessage", "CustomEmailSender", "CustomSMSSender"
TRIGGERS = (CUSTOM_MESSAGE, CUSTOM_MAIL, CUSTOM_TEXT)

#: What an address is suppressed for, as accounts have it since 2019-11-25 (SES Developer Guide).
SUPPRESSES = ("BOUNCE", "COMPLAINT")

ELSEWHERE = "the SES identity belongs to another account"  #: why its SES is not asked


class Why(StrEnum):
    """Why a fact could not be determined."""

    CREDENTIALS = "no valid AWS credentials"
    FORBIDDEN = "not allowed"
    NOT_FOUND = "not found"
    THROTTLED = "AWS has no room for the question now"
    SILENT = "no answer in time"
    UNREACHABLE = "cannot be reached"
    UNREADABLE = "the answer is none of AWS's"
    NOT_ASKED = "not asked, because Cognito's endpoint is not AWS's"
    FAILED = "AWS cannot be asked"


@dataclass(frozen=True, slots=True)
class Unknown:
    """A fact that could not be determined: the permission that the call needs, and why."""

    permission: str
    why: Why
    detail: str = ""

    def __str__(self) -> str:
        """Return the reason in a few words."""
        return f"{self.why} ({self.detail})" if self.detail else str(self.why)


class Secret(StrEnum):
    """The match of the configured client secret with that of the app client."""

    NOT_NEEDED = "not needed"
    MISSING = "missing"
    MATCHES = "matches"
    DIFFERS = "differs"
    SUPERFLUOUS = "superfluous"


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolFacts:
    """The response of DescribeUserPool."""

    account: str = ""
    verifies: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    by_ses: bool = False
    source_arn: str = ""  #: the SES identity
    configuration_set: str = ""  #: of SES
    triggers: tuple[str, ...] = ()
    sms_failure: str = ""
    sms_region: str = ""  #: of SNS, where it is another one than the pool's
    case_sensitive: bool = True  #: whether names that differ only in case are two users
    users: int = 0  #: AWS's estimate of all users, confirmed ones included
    tier: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientFacts:
    """The response of DescribeUserPoolClient, without the secret itself."""

    secret: Secret = Secret.NOT_NEEDED
    hides_existence: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SesFacts:
    """The account by SES; a quota of -1 means none."""

    sandbox: bool = False
    sending: bool = True
    status: str = "HEALTHY"
    a_day: float = -1
    sent: float = 0  #: within the last 24 hours
    a_second: float = -1
    suppresses: tuple[str, ...] = SUPPRESSES  #: why an address is put on the suppression list


@dataclass(frozen=True, slots=True, kw_only=True)
class ReachFacts:
    """The users who cannot be reached, and the evidence; None: irrelevant, or not requested."""

    suppressed: int | Unknown | None = None  #: addresses on SES's suppression list
    suppresses: tuple[str, ...] | None = None  #: the reasons that are in force; none: it is off
    of_set: tuple[str, ...] | Unknown | None = None  #: those of the configuration set
    opted_out: int | Unknown | None = None  #: telephone numbers
    exports: tuple[str, ...] | Unknown | None = None  #: what Cognito's log export logs
    history: bool | Unknown | None = None  #: CloudTrail's event history can be queried


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """The usage by CloudWatch in the last hour, for the whole account and Region."""

    peak: float = 0.0  #: requests per second over the busiest five minutes
    throttled: int = 0
    dimensions: Mapping[str, str] = field(default_factory=dict, compare=False)  #: of the metric


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Facts about pool, client and account. `ses` is None if SES sends nothing."""

    pool: PoolFacts | Unknown
    client: ClientFacts | Unknown
    provisioned: float | Unknown  #: requests per second that Cognito enforces now
    applied: float | Unknown  #: Service Quotas' value: what may be provisioned at most
    ses: SesFacts | Unknown | None
    usage: Usage | Unknown
    account: str | Unknown
    reach: ReachFacts = ReachFacts()

    @property
    def case_sensitive(self) -> bool | None:
        """Whether names that differ only in case are two users; None where it is not known."""
        return None if isinstance(self.pool, Unknown) else self.pool.case_sensitive

    @property
    def quota(self) -> float | None:
        """The quota in requests per second, from the best source that responded."""
        for rate in (self.provisioned, self.applied):
            if not isinstance(rate, Unknown):
                return rate
        return None

    @property
    def enforced(self) -> float | None:
        """The quota that Cognito enforces now, if Cognito itself reported it."""
        return None if isinstance(self.provisioned, Unknown) else self.provisioned

    @property
    def hides_existence(self) -> bool | None:
        """Whether the client hides who exists (PreventUserExistenceErrors)."""
        return None if isinstance(self.client, Unknown) else self.client.hides_existence

    @property
    def account_id(self) -> str | None:
        """The AWS account, if some response named it."""
        if not isinstance(self.account, Unknown):
            return self.account
        return (isinstance(self.pool, PoolFacts) and self.pool.account) or None

    @property
    def by_ses(self) -> bool | None:
        """Whether Amazon SES sends the mail; None if a function does, or it is not known."""
        if isinstance(self.pool, Unknown) or CUSTOM_MAIL in self.pool.triggers:
            return None
        return self.pool.by_ses

    @property
    def mail_quota(self) -> MailQuota | None:
        """What a day allows in mails; None if there is no quota, or it is not known."""
        if self.by_ses is False:
            return own_sender()
        if isinstance(self.ses, SesFacts) and self.ses.a_day >= 0:
            return MailQuota(
                whose="Amazon SES",
                a_day=max(1, int(self.ses.a_day)),
                left=max(0, int(self.ses.a_day - self.ses.sent)),
                rolling=True,
                a_second=self.ses.a_second if self.ses.a_second > 0 else None,
            )
        return None

    def messages(self, users: int, telephones: int | None = None) -> Messages:
        """Sort users by the message that they would get."""
        verifies = None if isinstance(self.pool, Unknown) else self.pool.verifies
        return messages(users, verifies, telephones)
