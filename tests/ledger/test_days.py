"""Users by the day of their last code, counted by hand."""

from batch_resend.ledger import Message
from batch_resend.ledger.days import count_days

DAY = 86400.0


def message(user: str, day: float, state: str = "sent", reason: str = "accepted") -> Message:
    at = day * DAY
    return Message(1, user.encode(), user, state, reason, at, at)


USERS = [
    [message("ada", 100.1)],
    [message("bob", 100.9), message("bob", 102.5)],
    [message("cid", 101), message("cid", 103, "skipped", "already-confirmed")],
    [message("dan", 102.2, "unknown", "no-answer")],
    [message("eve", 102.2, "failed", "user-not-found")],
]


def test_users_count_on_the_day_of_their_last_code() -> None:
    days = count_days(USERS, None)
    assert days.sent == {100: 1, 102: 1, 101: 1}
    assert days.unknown == {102: 1}
    # Without the pool only Cognito's own answer in a later run tells.
    assert days.confirmed == {101: 1}


def test_pool_says_who_has_confirmed() -> None:
    statuses = {b"ada": "CONFIRMED", b"bob": "UNCONFIRMED", b"dan": "CONFIRMED"}
    days = count_days(USERS, statuses.get)
    assert days.confirmed == {100: 1, 101: 1}
