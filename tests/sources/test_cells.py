"""Cells that are written are read back as the names that they were."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batch_resend.sources.cells import AROUND_NAMES, as_read_back, restored


@given(st.text(min_size=1))
@example("'+15551234567")
@example("#N/A")
@example('="x"')
@example("1.23457E+11")
@example("username")
def test_name_is_read_back_as_it_was(name: str) -> None:
    name = name.strip(AROUND_NAMES)
    assert restored(as_read_back(name)) == name


@pytest.mark.parametrize("name", ["'+15551234567", "#REF!", "Username", "=1+1", "@ada", "a;=1+1"])
def test_name_that_means_something_else_is_protected(name: str) -> None:
    assert as_read_back(name) == f'="{name}"'


def test_ordinary_name_is_written_as_it_is() -> None:
    assert as_read_back("ada@example.com") == "ada@example.com"
    assert as_read_back("+15551234567") == "+15551234567"
