"""Commands against a bridge that speaks TLS and asks for client certificates."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from bridge.cli.client.failures import CommandFailed, ExitCode
from bridge.cli.client.tls import TlsFiles
from bridge.cli.doctor.findings import Level, certificate_ends
from bridge.cli.health import own_url, probe
from tests.cli.test_completion import PATIENT
from tests.support.bridge_cli import Cli
from tests.support.bridge_process import BridgeProcess, get
from tests.support.certificates import DAY_S, Authority
from tests.support.ports import held_port

AUTHORITY: Final = Authority()


@dataclass(frozen=True, slots=True)
class Mutual:
    """A bridge that lets nobody in without a certificate; the files of one who is."""

    port: int
    environ: dict[str, str]
    ca: str
    cert: str
    key: str

    @property
    def options(self) -> tuple[str, ...]:
        return ("--ca-file", self.ca, "--cert", self.cert, "--cert-key", self.key)


@pytest.fixture(scope="module")
def mutual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mutual]:
    home = tmp_path_factory.mktemp("mutual")
    certificate, key = AUTHORITY.issue("bridge", ends_in_s=10 * DAY_S).write(home)
    ca = str(AUTHORITY.write(home))
    shown = AUTHORITY.issue("cli").write(home, "client")
    environ = {"TLS_CERT_FILE": str(certificate), "TLS_KEY_FILE": str(key), "TLS_CLIENT_CA_FILE": ca}
    with BridgeProcess(home / "data", environ) as bridge:
        yield Mutual(bridge.started(), environ, ca, *map(str, shown))


@pytest.fixture
def secure(mutual: Mutual, tmp_path: Path) -> Cli:
    return Cli(f"https://127.0.0.1:{mutual.port}", tmp_path)


def test_a_command_shows_its_certificate_and_believes_its_authority(secure: Cli, mutual: Mutual) -> None:
    done = secure("streams", "ls", "-o", "json", *mutual.options)
    assert (done.returncode, bool(json.loads(done.stdout))) == (0, True)
    environ = {
        "BRIDGE_CA_FILE": mutual.ca,
        "BRIDGE_CERT_FILE": mutual.cert,
        "BRIDGE_CERT_KEY_FILE": mutual.key,
    }
    assert secure("streams", "ls", environ=environ).returncode == 0
    shown = secure("streams", "ls", "--curl", *mutual.options).stdout
    assert f"--cacert {mutual.ca} --cert {mutual.cert} --key {mutual.key}" in shown


def test_what_is_wrong_is_told_and_what_to_do(secure: Cli, mutual: Mutual, tmp_path: Path) -> None:
    done = secure("streams", "ls")
    assert done.returncode == ExitCode.NOT_REACHABLE
    assert "There is no TLS with" in done.stderr
    assert "--ca-file" in done.stderr
    done = secure("streams", "ls", "--ca-file", mutual.ca)
    assert done.returncode == ExitCode.NOT_REACHABLE
    done = secure("streams", "ls", "--ca-file", str(tmp_path / "none"))
    assert (done.returncode, "authorities cannot be read" in done.stderr) == (ExitCode.USAGE, True)
    done = secure("streams", "ls", "--ca-file", mutual.ca, "--cert", mutual.ca)
    assert (done.returncode, "certificate cannot be used" in done.stderr) == (ExitCode.USAGE, True)
    plain = Cli(f"https://127.0.0.1:{mutual.port}", tmp_path)
    assert (
        plain("streams", "ls", "--url", f"http://127.0.0.1:{mutual.port}").returncode
        == ExitCode.NOT_REACHABLE
    )


def test_names_are_completed_over_tls_too(secure: Cli, mutual: Mutual) -> None:
    for options, offered in ((" ".join(mutual.options), ["sample-stream"]), (f"--ca-file {mutual.ca}", [])):
        line = f"bridge streams info {options} sam"
        asked = {
            "_BRIDGE_COMPLETE": "complete_bash",
            "COMP_WORDS": line,
            "COMP_CWORD": str(line.count(" ")),
        }
        done = secure.process(environ=asked, code=PATIENT)
        assert (done.stdout.split(), done.stderr) == (offered, "")


def test_a_key_with_a_passphrase_asks_nobody(tmp_path: Path) -> None:
    certificate, key = AUTHORITY.issue("x", passphrase=b"secret").write(tmp_path)
    with pytest.raises(CommandFailed, match="passphrase"):
        TlsFiles(cert=str(certificate), key=str(key)).context()


def test_what_the_flags_do_not_name_the_environment_does() -> None:
    environ = {"BRIDGE_CA_FILE": "a", "BRIDGE_CERT_FILE": "b", "BRIDGE_CERT_KEY_FILE": "c"}
    assert TlsFiles().or_of(environ) == TlsFiles("a", "b", "c")
    assert TlsFiles("x", "y").or_of(environ) == TlsFiles("x", "y", None)
    assert TlsFiles().context() is None


def test_doctor_tells_that_the_certificate_ends(secure: Cli, mutual: Mutual) -> None:
    done = secure("doctor", "--url", secure.url, "-o", "json", *mutual.options)
    found = {each["check"]: each for each in json.loads(done.stdout)}
    assert found["certificate"]["level"] == "WARN"
    environ = {"PORT": str(mutual.port), "BRIDGE_URL": "", **mutual.environ}
    own = secure("doctor", "-o", "json", environ={**environ, "DATA_DIR": str(secure.home)})
    assert {each["check"] for each in json.loads(own.stdout)} >= {"certificate", "configuration"}


def test_doctor_asks_the_bridge_of_this_machine_whatever_names_its_certificate_has(tmp_path: Path) -> None:
    certificate, key = AUTHORITY.issue("bridge", dns=("elsewhere.example",)).write(tmp_path)
    environ = {"TLS_CERT_FILE": str(certificate), "TLS_KEY_FILE": str(key)}
    with BridgeProcess(tmp_path / "data", environ) as bridge:
        cli = Cli("", tmp_path)
        done = cli("doctor", "-o", "json", environ={**environ, "PORT": str(bridge.started())})
        checks = [each["check"] for each in json.loads(done.stdout)]
        assert ("bridge" in checks, done.returncode) == (True, 0)


@pytest.mark.parametrize(
    "left_s, level", [(-1, Level.FAIL), (13 * DAY_S, Level.WARN), (15 * DAY_S, Level.OK)]
)
def test_a_certificate_is_well_for_as_long_as_somebody_has_time_to_renew_it(
    left_s: int, level: Level
) -> None:
    assert certificate_ends(1e9 + left_s, 1e9).level is level


def test_health_asks_over_tls_and_where_certificates_are_asked_for_at_the_port_of_the_metrics(
    tmp_path: Path, mutual: Mutual
) -> None:
    assert probe(f"https://127.0.0.1:{mutual.port}", ready=False) == 1
    with held_port() as figures_port:
        environ = {**mutual.environ, "METRICS_PORT": str(figures_port)}
        with BridgeProcess(tmp_path, environ) as bridge:
            bridge.started()
            assert probe(own_url(environ), ready=True) == 0
            assert get(figures_port, "/health")[0] == 200
    with BridgeProcess(tmp_path, {**mutual.environ, "TLS_CLIENT_AUTH": "optional"}) as bridge:
        assert probe(f"https://127.0.0.1:{bridge.started()}", ready=True) == 0
