"""What all tests share."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import HealthCheck, settings

from batch_resend.simulator.rules import Cognito
from tests.support.certificates import authority
from tests.support.program import (
    CLIENT,
    Program,
    serving,
)

# The gate tries the same examples each time, and none is too slow: how long an example takes
# says what else the machine does. Others: `--hypothesis-profile=search`.
_PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("gate", _PATIENT, derandomize=True)
settings.register_profile("search", _PATIENT)
settings.load_profile("gate")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip the long versions of proofs unless `-m` names them."""
    if "long" in config.getoption("markexpr", default=""):
        return
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.skip(reason="a long proof; ask for it with -m long"))


def pytest_collection_finish() -> None:
    """Let the garbage collector leave all modules and tests alone, and run less often.

    Side by side, three files of tests took 13 to 22 % less CPU time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@pytest.fixture(autouse=True)
def without_aws_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory, one_authority: Path
) -> None:
    """Remove the AWS settings, proxies and options of the person who runs the tests."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "BATCH_RESEND_")) or name.upper().endswith("_PROXY"):
            monkeypatch.delenv(name)
    nowhere = tmp_path_factory.getbasetemp() / "nowhere"
    monkeypatch.setenv("AWS_CONFIG_FILE", str(nowhere))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(nowhere))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(one_authority))


@pytest.fixture(scope="session")
def one_authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of one certificate: each client reads it, and all real ones take 20 ms."""
    return authority(tmp_path_factory.mktemp("authority")).bundle


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    """The address of moto's server: some of AWS's services, in threads of this process."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    instance = Program(tmp_path)
    yield instance
    instance.end()


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[BlockingPortal]:
    """An event loop in a thread of its own."""
    with start_blocking_portal() as portal:
        yield portal


@pytest.fixture
def cognito() -> Cognito:
    return Cognito()


@pytest.fixture
def url(elsewhere: BlockingPortal, cognito: Cognito) -> Iterator[str]:
    """Yield the URL of the simulated Cognito."""
    with serving(elsewhere, cognito, latency=0.02) as address:
        yield address


@pytest.fixture
def at(url: str) -> tuple[str, ...]:
    """The options for a run against the simulated Cognito, in which no question is asked."""
    return ("--client-id", CLIENT, "--region", "us-east-1", "--endpoint-url", url, "--yes",
            "--rate", "1000")  # fmt: skip
