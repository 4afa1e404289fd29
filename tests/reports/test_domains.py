"""Mail domains: which are named, which are probably typing errors, and the sum of the others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_resend.reports.page.domains import SHOWN, meant, split
from batch_resend.reports.page.figures import Domain


@pytest.mark.parametrize(
    ("typed", "provider"),
    [
        ("gmial.com", "gmail.com"),
        ("gmail.con", "gmail.com"),
        ("gmail.co", "gmail.com"),
        ("gmaill.com", "gmail.com"),
        ("hotmial.com", "hotmail.com"),
        ("yaho.com", "yahoo.com"),
        ("outlok.com", "outlook.com"),
        ("iclould.com", "icloud.com"),
    ],
)
def test_typing_errors_lead_to_the_provider(typed: str, provider: str) -> None:
    assert meant(typed) == provider


@pytest.mark.parametrize(
    "name", ["gmail.com", "mail.com", "ymail.com", "email.com", "yahoo.ca", "live.com", "", "x.y"]
)
def test_real_providers_are_not_typing_errors(name: str) -> None:
    assert meant(name) == ""


@given(st.text("gmailcoyhtu.", min_size=1, max_size=12), st.integers(0, 12), st.sampled_from("xq"))
def test_several_errors_are_not_a_near_miss(rest: str, place: int, letter: str) -> None:
    """A name with three letters that no provider has there is left alone."""
    typed = rest[:place] + letter * 3 + rest[place:]
    assert meant(typed) == ""


def test_domains_of_few_users_are_summed_up() -> None:
    domains = [
        Domain("firm.example", sent=3, failed=2),
        Domain("smith.example", sent=3, failed=1),
        Domain("jones.example", unknown=1),
        Domain("gmail.com", failed=1),
        Domain("gmial.com", failed=1, row=7),
    ]
    shares = split(domains)
    assert [one.domain.name for one in shares.named] == ["firm.example", "gmail.com", "gmial.com"]
    assert [one.probably for one in shares.mistyped] == ["gmail.com"]
    assert (shares.others, shares.users, shares.not_sent) == (2, 5, 2)


def test_typing_errors_are_named_beyond_the_table() -> None:
    domains = [Domain(f"firm{n}.example", sent=9) for n in range(SHOWN + 3)]
    shares = split([*domains, Domain("gmial.com", sent=1)])
    assert len(shares.named) == SHOWN + 1
    assert shares.named[-1].probably == "gmail.com"
    assert (shares.others, shares.users) == (3, 27)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=40))
def test_every_user_is_named_or_summed_up(counts: list[tuple[int, int]]) -> None:
    domains = [Domain(f"d{n}.example", sent=a, failed=b) for n, (a, b) in enumerate(counts)]
    shares = split(domains)
    assert shares.users + sum(one.domain.users for one in shares.named) == sum(map(sum, counts))
    assert shares.others + len(shares.named) == len(domains)
