"""Users from JSON: listings, arrays and lines, one value at a time."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batch_resend.errors import InputError
from batch_resend.model import Candidate
from batch_resend.sources.file import FileSource
from batch_resend.sources.json_users import Malformed, Values
from tests.support.inputs import names, read, refusal

pytestmark = pytest.mark.anyio

LISTED = {
    "Username": "3f1c",
    "Attributes": [{"Name": "email", "Value": "ada@example.com"}, {"Name": "sub", "Value": "3f1c"}],
    "UserStatus": "UNCONFIRMED",
    "Enabled": True,
    "UserCreateDate": "2021-01-11T15:29:59.162000+00:00",
}


async def test_listing_is_read_as_cognito_lists(users: Path) -> None:
    """What `aws cognito-idp list-users` prints is what people have."""
    users.write_text(json.dumps({"Users": [LISTED], "PaginationToken": "x"}, indent=4))
    source, rows = await read(users)
    assert rows == [
        Candidate(
            1,
            "3f1c",
            {"email": "ada@example.com", "sub": "3f1c"},
            json.dumps(LISTED, separators=(",", ":")) + "\n",
            aliases=("ada@example.com",),
            status="UNCONFIRMED",
            enabled=True,
            created=1610378999.162,
        )
    ]
    assert source.is_listing
    assert source.columns is None
    assert source.heading == ""


@pytest.mark.parametrize(
    "text",
    [
        '["ada", "bob"]',
        '[{"Username": "ada"}, {"Username": "bob"}]',
        '{"username": "ada"}\n{"username": "bob"}\n',
        '{"username": "ada", "x": 1}\r\n\r\n{"username": "bob"}',
        '[{"User Name": "ada", "email": "a@x.example"}, {"User Name": "bob"}]',
        '{"Users": [{"Username": "ada"}]}\n{"Users": [{"Username": "bob"}]}\n',
        '{"Users": [{"Username": "ada"}], "T": {"a": []}}{"T": 1, "Users":[{"Username":"bob"}]}',
        '\n [\n"ada"\n,\n"bob"\n]\n',
        '{"Users": []}{"Users": [{"Username": "ada"}, {"Username": "bob"}]}',
        '["ada"]["bob"]',
        '{"Username": "ada", "UserAttributes": []} {"Username": "bob"}',
    ],
)
async def test_forms_of_json_are_recognized(users: Path, text: str) -> None:
    users.write_text(text)
    assert await names(users) == ["ada", "bob"]


@pytest.mark.parametrize(
    ("name", "text"),
    [("u.json", '"ada"'), ("u.jsonl", '"ada"\n'), ("U.NDJSON", '"ada"'), ("u.json.gz", '"ada"')],
)
async def test_ending_says_the_format(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    assert await names(path) == ["ada"]


async def test_format_decides_before_all_else(tmp_path: Path) -> None:
    path = tmp_path / "users.json"
    path.write_text("username\nada\n")
    assert "use --format csv if it is not JSON" in await refusal(path)
    assert await names(path, format="csv") == ["ada"]
    path.write_text('{"a"}\n')
    assert await names(path, format="csv", header=False) == ['{"a"}']
    (bare := tmp_path / "bare.txt").write_text('"ada"\n"bob"\n')
    assert await names(bare, format="jsonl") == ["ada", "bob"]
    assert "not an Excel workbook" in await refusal(bare, format="xlsx")


async def test_object_of_columns_is_a_row(users: Path) -> None:
    users.write_text(
        '{"id": 7, "email": "a@x.example", "UserStatus": "CONFIRMED", "Enabled": "false",'
        ' "UserCreateDate": 1610378999.5, "n": null, "m": {"a": [1]}}\n'
    )
    source, rows = await read(users)
    assert rows[0] == Candidate(
        1,
        "a@x.example",
        {"id": "7", "UserStatus": "CONFIRMED", "Enabled": "false", "n": "", "m": '{"a": [1]}'}
        | {"UserCreateDate": "1610378999.5"},
        users.read_text().replace(": ", ":").replace(", ", ","),
        status="CONFIRMED",
        enabled=False,
        created=1610378999.5,
    )
    assert not source.is_listing
    users.write_text('{"login": "ada", "email": "a@x.example", "lang": "de"}')
    _, rows = await read(users, username_column="Login", keep=frozenset({"lang"}))
    assert (rows[0].username, rows[0].contacts) == ("ada", ("a@x.example",))
    assert rows[0].attributes == {"lang": "de"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"username": 5}', "user 1 (line 1) has a 'username' that is not text"),
        ('["ada", 5]', "user 2 (line 1) is neither an object nor a name"),
        ('{"Username": 5}', "user 1 (line 1) has no Username that is text"),
        ('{"Username": ""}', "has no Username that is text"),
        ('{"Users": [null]}', "is neither an object nor a name"),
        ('{"Users": null}', "has none of the keys username"),
        ('{"Username": "a", "Enabled": "false"}', "an Enabled that is neither true nor false"),
        ('{"Username": "a", "UserStatus": 1}', "a UserStatus that is not text"),
        ('{"Username": "a", "Attributes": null}', "Attributes that are not a list"),
        ('{"Username": "a", "Attributes": "x"}', "Attributes that are not a list"),
        ('{"Username": "a", "Attributes": [1]}', "an attribute that is not a name and a text"),
        ('{"Username": "a", "Attributes": [{"Name": "b", "Value": null}]}', "an attribute"),
        ('{"Username": "a", "UserCreateDate": "soon"}', "a UserCreateDate that is not a date"),
        ('{"Username": "a", "UserCreateDate": true}', "a UserCreateDate that is not a date"),
        ('{"username": "a"}\n{"email": "b"}', "user 2 (line 2) has no 'username', the key of"),
        ('{"login": "a"}', "has none of the keys username, cognito:username"),
        ('{"Username": "a", "Username": "b"}', "has a key twice in one object"),
        ('[\n"ada"\n"bob"]', "what follows user 1 (line 3) is not valid JSON: ',' is missing"),
        ('["ada",]', "what follows user 1 (line 1) is not valid JSON"),
        ('["ada"', "is not valid JSON: ',' is missing"),
        ('{"username": "ada"},\n{"username": "bob"}', "a comma between two values"),
        ('{"Users": [{"Username": "ada"}]', "is not valid JSON"),
        ("[" * 100_000, "is nested too deeply"),
        ('{"a": "' + "x" * (3 << 20) + '"}', "is not valid JSON, or is too long"),
        ("[]", "is empty. Pass a file with at least one user."),
        ('{"Users": []}', "is empty"),
        ('{"username": "a", "Enabled": "maybe"}', "a date or an Enabled that is neither"),
    ],
)
async def test_json_that_says_no_user_is_refused(users: Path, text: str, why: str) -> None:
    users.write_text(text)
    assert why in await refusal(users)


async def test_dates_are_needed_where_ages_are_asked_for(users: Path) -> None:
    users.write_text('["ada"]')
    assert "user 1 (line 1) has no UserCreateDate" in await refusal(users, dates=True)


@pytest.mark.parametrize("text", ['{"Users": [%s]}', "[%s]"])
async def test_rows_are_again_the_same_users(users: Path, tmp_path: Path, text: str) -> None:
    many = [LISTED | {"Username": f'u{n} "\ud800é'} for n in range(3)]
    users.write_text(text % ",".join(map(json.dumps, many)))
    source, rows = await read(users)
    again = tmp_path / "failed.csv"
    again.write_bytes((source.heading + "".join(row.raw for row in rows)).encode(source.encoding))
    assert (await read(again))[1] == rows


async def test_many_users_are_read_in_flat_memory(users: Path) -> None:
    """One long line, as programs write it, and no value of it held for long."""
    with users.open("w") as file:
        file.write('{"Users":[')
        file.writelines(f"{',' if n else ''}{json.dumps(LISTED)}" for n in range(15_000))
        file.write("]}")
    source = FileSource(str(users), keep=frozenset())
    await source.open()
    tracemalloc.start()
    try:
        count = sum([len(batch) async for batch in source.batches()])
        assert tracemalloc.get_traced_memory()[1] < 12_000_000
    finally:
        tracemalloc.stop()
        await source.aclose()
    assert count == source.rows == 15_000


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text()),
    lambda one: st.one_of(st.lists(one), st.dictionaries(st.text(), one)),
    max_leaves=12,
)


@given(
    values=st.lists(JSON.filter(lambda one: not isinstance(one, list)), max_size=6),
    form=st.sampled_from(["array", "page", "lines"]),
    size=st.integers(1, 9),
    indent=st.sampled_from([None, 2]),
)
@settings(deadline=None)
def test_values_are_those_of_the_standard_parser(
    values: Sequence[Any], form: str, size: int, indent: int | None
) -> None:
    if form == "lines":
        values = [one for one in values if not isinstance(one, dict) or "Users" not in one]
        text = "\n".join(json.dumps(one) for one in values)
    else:
        text = json.dumps(values if form == "array" else {"Users": values, "T": 1}, indent=indent)
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    assert list(Values(pieces)) == list(values)


@given(
    text=st.text(st.sampled_from(list('[]{}",:0 \nUsersername\\e-')), max_size=40),
    prefix=st.sampled_from(["", '{"Users": [', "[", '{"username": "ada"', '["ada",']),
)
@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
def test_broken_json_is_read_or_refused(text: str, prefix: str) -> None:
    try:
        values = list(Values([prefix + text]))
    except Malformed:
        return
    joined = json.dumps(values)
    assert isinstance(joined, str)


async def test_waiting_for_json_can_be_given_up(tmp_path: Path) -> None:
    import os

    os.mkfifo(path := tmp_path / "users.json")
    source = FileSource(str(path))
    writing = os.open(path, os.O_RDWR)
    os.write(writing, b'[{"Username": "ada"}, ')
    try:
        with anyio.move_on_after(0.1) as scope:
            await source.open()
            async for _ in source.batches():
                pass
        assert scope.cancelled_caught
    finally:
        await source.aclose()
        os.close(writing)


async def test_refusal_shows_no_value(users: Path) -> None:
    users.write_text('{"username": {"email": "ada@example.com"}}')
    with pytest.raises(InputError) as refused:
        await read(users)
    assert "ada@" not in str(refused.value)


async def test_number_with_too_many_digits_is_refused(users: Path) -> None:
    users.write_text('[{"username": "ada", "x": ' + "9" * 6000 + "}]")
    with pytest.raises(InputError, match="has a number with too many digits"):
        await read(users)
