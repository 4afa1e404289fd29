"""The configuration file: whole and right, or one sentence that names file and key."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_resend.cli import config_file
from batch_resend.cli.config_file import ConfigFile, Kind, Value
from batch_resend.errors import UsageError

KEYS = {
    "client-id": Kind.TEXT,
    "client-secret-file": Kind.PATH,
    "rate": Kind.TEXT,
    "share": Kind.TEXT,
    "limit": Kind.TEXT,
    "report": Kind.PATH,
    "dry-run": Kind.SWITCH,
    "match": Kind.PAIRS,
    "only": Kind.LIST,
}

Read = Callable[[str | bytes], ConfigFile]


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Read:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/ada")

    def of(content: str | bytes) -> ConfigFile:
        data = content.encode() if isinstance(content, str) else content
        Path("my.toml").write_bytes(data)
        return config_file.read("my.toml", KEYS)

    return of


def values(file: ConfigFile, pool: str | None = None) -> dict[str, Value]:
    return {key: entry.value for key, entry in file.values(pool).items()}


def test_a_value_is_what_would_be_typed(read: Read) -> None:
    file = read(
        """
        client-id = "007"
        rate = 25
        share = 0.5
        limit = 1_000
        dry-run = true
        report = "a/~/b"
        client-secret-file = "~/secret"
        match = ["locale=^de", "plan=free"]
        only = ["a", 1]
        """
    )
    assert values(file) == {
        "client-id": "007",
        "rate": "25",
        "share": "0.5",
        "limit": "1000",
        "dry-run": True,
        "report": "a/~/b",
        "client-secret-file": "/home/ada/secret",
        "match": ["locale=^de", "plan=free"],
        "only": ["a", "1"],
    }


def test_pairs_can_be_a_table(read: Read) -> None:
    file = read('[match]\nlocale = "^de"\nempty = ""\nyear = 1984\n')
    assert values(file) == {"match": ["locale=^de", "empty=", "year=1984"]}
    assert values(read('match = { locale = "^de" }')) == {"match": ["locale=^de"]}


def test_table_of_a_pool_beats_the_common_keys(read: Read) -> None:
    """And each value says where it stands."""
    file = read(
        'share = 0.5\nmatch = ["a=1"]\n[pools.shop]\nshare = 0.2\nmatch = ["b=2"]\n[pools."x y"]\n'
    )
    entries = file.values("shop")
    assert (entries["share"].value, entries["share"].where) == ("0.2", "my.toml [pools.shop]")
    assert entries["match"].value == ["b=2"], "it replaces, as an option does"
    entries = file.values("x y")
    assert (entries["share"].value, entries["share"].where) == ("0.5", "my.toml")


def test_a_file_without_pools_needs_none_and_one_with_pools_does(read: Read) -> None:
    assert values(read("share = 0.5")) == {"share": "0.5"}
    assert values(read("")) == {}
    with pytest.raises(UsageError, match=r"choose with --pool \(shop, blog\)"):
        read("[pools.shop]\n[pools.blog]").values(None)


@pytest.mark.parametrize(
    ("content", "pool", "sentence"),
    [
        ("[pools.shop]\n[pools.blog]\n", "shpo", "(it has shop, blog): did you mean shop?"),
        ("[pools.shop]\n", "mail", "my.toml has no table [pools.mail] (it has shop)."),
        ("share = 0.5", "shop", "my.toml has no table [pools.shop]."),
        ("[pools.shop]\n", "a\x1b[31m", "[pools.a\\x1b[31m]"),
    ],
)
def test_a_pool_that_is_not_there_is_named(
    read: Read, content: str, pool: str, sentence: str
) -> None:
    file = read(content)
    with pytest.raises(UsageError) as refused:
        file.values(pool)
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("client_id = 'a'", "my.toml: 'client_id' is not an option: did you mean client-id?"),
        (
            "[pools.shop]\nlimt = 1",
            "my.toml [pools.shop]: 'limt' is not an option: did you mean limit?",
        ),
        ("colour = 1", "my.toml: 'colour' is not an option."),
        ("[shop]\nlimit = 1", "a table for a pool is written [pools.shop]."),
        ("[pool.shop]\nlimit = 1", "'pool' is not an option: did you mean pools?"),
        ("[pools.shop.eu]\nlimit = 1", "my.toml [pools.shop]: 'eu' is not an option"),
        ('"\\u001b[31m" = 1', "'\\x1b[31m' is not an option."),
        ('[pools."x\\u001b]0;y"]', "[pools.x\\x1b]0;y] has a name that cannot be shown"),
        ("pools = 3", "'pools' holds a table for each pool"),
        ("pools.shop = 3", "'pools' holds a table for each pool"),
        ("[[pools]]", "'pools' holds a table for each pool"),
        ("limit = true", "my.toml: limit takes a text or a number."),
        ("limit = [1]", "my.toml: limit takes a text or a number."),
        ("limit = 2026-01-01", "my.toml: limit takes a text or a number."),
        ("report = {}", "my.toml: report takes a path."),
        ("dry-run = 'yes'", "my.toml: dry-run takes true or false."),
        ("dry-run = 1", "my.toml: dry-run takes true or false."),
        ("only = 'a'", "my.toml: only takes a list of texts."),
        ("only = [true]", "my.toml: only takes a list of texts."),
        ("only = { a = 1 }", "my.toml: only takes a list of texts."),
        ("match = 'a=b'", "my.toml: match takes a list of texts, or a table."),
        ("match = { a = [1] }", "my.toml: match takes a list of texts, or a table."),
        ("match = { 'a=b' = 'c' }", "my.toml: match takes a list of texts, or a table."),
        ("client-secret = 'x'", "my.toml: a secret does not belong here."),
        ("[pools.shop]\nclient_secret = 'x'", "[pools.shop]: a secret does not belong here."),
        ("limit = 1\nrate = =", "my.toml is not TOML: Invalid value (at line 2"),
        ("limit = 1\nlimit = 2\n", "my.toml is not TOML: Cannot overwrite a value"),
        ("x = " + "[" * 100_000, "my.toml is not TOML: nested too deeply."),
        (b"limit = 1\nreport = '\xff'", "my.toml is not UTF-8 (at line 2)."),
        ("#" * (1 << 20) + "#", "my.toml is larger than a file of settings can be"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(
    read: Read, content: str | bytes, sentence: str
) -> None:
    with pytest.raises(UsageError) as refused:
        read(content)
    assert sentence in str(refused.value)
    assert str(refused.value).endswith((".", "?"))
    assert str(refused.value).isprintable()


def test_a_secret_in_the_file_is_not_repeated(read: Read) -> None:
    with pytest.raises(UsageError) as refused:
        read("client-secret = 'verysecret'")
    assert "verysecret" not in str(refused.value)


def test_byte_order_mark_and_windows_line_ends_are_accepted(read: Read) -> None:
    assert values(read("\ufeffshare = 0.5\r\nlimit = 1\r\n")) == {"share": "0.5", "limit": "1"}


@pytest.mark.parametrize("path", ["nowhere.toml", ".", "", "a\0b"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, path: str) -> None:
    with pytest.raises(UsageError, match=r"--config .*cannot be read"):
        config_file.read(path and str(tmp_path / path), KEYS)


def test_world_writable_file_is_refused_readable_is_not(
    read: Read,
) -> None:
    read("")
    path = Path("my.toml")
    path.chmod(0o664)
    config_file.read("my.toml", KEYS)
    path.chmod(path.stat().st_mode | stat.S_IWOTH)
    with pytest.raises(UsageError, match=r"changed by every user .* Run chmod o-w on it"):
        config_file.read("my.toml", KEYS)


def test_a_pipe_is_a_file_too() -> None:
    out, into = os.pipe()
    os.write(into, b"share = 0.25")
    os.close(into)
    assert values(config_file.read(f"/dev/fd/{out}", KEYS)) == {"share": "0.25"}
    os.close(out)


@given(st.binary(max_size=40) | st.text(alphabet="[]{}=.,\"# \npools'-limt1", max_size=40))
def test_any_content_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes | str
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    sentence = f"in {path}"
    try:
        config_file.read(str(path), KEYS)
    except UsageError as error:
        sentence = str(error)
    assert str(path) in sentence
    assert sentence.isprintable()
