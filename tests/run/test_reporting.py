"""Reading a long suppression list is reported, a short one is not."""

from __future__ import annotations

from batch_resend.run.preflight import reporting


def test_long_list_is_reported_from_time_to_time() -> None:
    addresses: list[str] = []
    notes: list[str] = []
    keep = reporting(addresses.extend, notes.append)
    for page in range(45):
        keep(f"user{page}-{number}@example.com" for number in range(1000))
    assert len(addresses) == 45_000
    assert notes == [
        "Reading who cannot be reached: 20,000 addresses so far.",
        "Reading who cannot be reached: 40,000 addresses so far.",
    ]
