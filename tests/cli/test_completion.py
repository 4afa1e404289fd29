"""What a shell offers: the values of an option, of AWS's profiles and of the file's pools."""

from __future__ import annotations

from pathlib import Path

import pytest

from batch_resend.cli import program

POOLS = '[pools.shop]\nclient-id = "one"\n[pools.blog]\nclient-id = "two"\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.toml").write_text(POOLS)
    (tmp_path / "config").write_text("[default]\n[profile dev]\n[sso-session corp\n")
    (tmp_path / "credentials").write_text("[default]\n[deploy]\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    return tmp_path


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("run --log-format ", ["text", "json"]),
        ("run --log-format j", ["json"]),
        ("run --format x", ["xlsx"]),
        ("run --resend-unknown ", ["not-recorded", "all"]),
        ("run --config my.toml --pool ", ["shop", "blog"]),
        ("ledger purge --config my.toml --pool b", ["blog"]),
        ("run --config nowhere.toml --pool ", []),
        ("run --pool ", []),
        ("check --profile d", ["default", "deploy"]),
        ("run --client-", ["--client-id", "--client-secret-file", "--client-secret-id"]),
    ],
)
def test_shell_offers_values(
    typed: str,
    offered: list[str],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A file that cannot be read offers nothing, and nothing is said of it."""
    del folder
    words = f"batch-resend {typed}"
    monkeypatch.setattr("sys.argv", ["batch-resend"])
    monkeypatch.setenv("_BATCH_RESEND_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split(" ")) - 1))
    with pytest.raises(SystemExit):
        program([])
    out, err = capsys.readouterr()
    assert (out.split(), err) == (offered, "")
