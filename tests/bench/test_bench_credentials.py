"""Where keys come from, and how servers are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidegate.bench.credentials import find_keys
from sidegate.bench.endpoints import Endpoint, parse_endpoint, parse_endpoints
from sidegate.bench.signing import Keys
from sidegate.errors import Invalid, NotFound, Unsupported

CREDENTIALS = """
[default]
aws_access_key_id = default-key
aws_secret_access_key = default%secret

[lab]
aws_access_key_id = lab-key
aws_secret_access_key = lab-secret
aws_session_token = lab-token
"""
CONFIG = "[default]\nregion = eu-central-1\n\n[profile lab]\nregion = eu-west-1\n"
VARIABLES = {"AWS_ACCESS_KEY_ID": "variable-key", "AWS_SECRET_ACCESS_KEY": "variable-secret"}


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    folder = tmp_path / ".aws"
    folder.mkdir()
    (folder / "credentials").write_text(CREDENTIALS)
    (folder / "config").write_text(CONFIG)
    return {"HOME": str(tmp_path)}


def test_the_default_profile_comes_last(home: dict[str, str]) -> None:
    assert find_keys(home) == Keys("default-key", "default%secret", None, "eu-central-1")
    assert find_keys(home | VARIABLES) == Keys("variable-key", "variable-secret", None, "eu-central-1")


def test_a_named_profile_comes_before_variables(home: dict[str, str]) -> None:
    wanted = Keys("lab-key", "lab-secret", "lab-token", "eu-west-1")
    assert find_keys(home | VARIABLES, profile="lab") == wanted
    assert find_keys(home | {"AWS_PROFILE": "lab"}) == wanted


def test_flags_come_first(home: dict[str, str]) -> None:
    found = find_keys(home | VARIABLES, profile="lab", access_key="a", secret_key="b", region="here")
    assert found == Keys("a", "b", None, "here")


def test_files_may_lie_elsewhere(home: dict[str, str], tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("[default]\naws_access_key_id=o\naws_secret_access_key=p\n")
    found = find_keys(home | {"AWS_SHARED_CREDENTIALS_FILE": str(other), "AWS_REGION": "r"})
    assert found == Keys("o", "p", None, "r")


def test_without_any_there_are_none(tmp_path: Path) -> None:
    assert find_keys({"HOME": str(tmp_path)}) is None


def test_half_a_pair_and_unknown_profiles_are_refused(home: dict[str, str]) -> None:
    with pytest.raises(Invalid, match="AWS_ACCESS_KEY_ID"):
        find_keys({"HOME": "/nowhere", "AWS_ACCESS_KEY_ID": "a"})
    with pytest.raises(Invalid, match="--access-key"):
        find_keys(home, access_key="a")
    with pytest.raises(NotFound, match="no profile 'nope'"):
        find_keys(home, profile="nope")
    (Path(home["HOME"]) / ".aws" / "config").write_text("region = before any section\n")
    with pytest.raises(Invalid, match="cannot be read"):
        find_keys(home)


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("http://127.0.0.1:9000", Endpoint("127.0.0.1:9000", "127.0.0.1", 9000)),
        ("minio=http://localhost:9000/", Endpoint("minio", "localhost", 9000)),
        ("127.0.0.1:9000", Endpoint("127.0.0.1:9000", "127.0.0.1", 9000)),
        ("v6=http://[::1]:9000", Endpoint("v6", "::1", 9000)),
        ("http://storage", Endpoint("storage", "storage", 80)),
    ],
)
def test_endpoints_are_named(text: str, endpoint: Endpoint) -> None:
    assert parse_endpoint(text) == endpoint
    assert parse_endpoint(f"again={endpoint.url}").port == endpoint.port


@pytest.mark.parametrize(
    "text",
    [
        "http://",
        "ftp://x",
        "http://x/path",
        "http://x?query",
        "http://x#part",
        "http://x:port",
        "http://x:0",
        "http://u@x",
        "http://[::1",
        "http://a b",
        "http://a..b",
        f"http://{'a' * 64}",
        "a,b=http://x",
    ],
)
def test_what_is_no_endpoint_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="no endpoint"):
        parse_endpoint(text)


def test_tls_and_equal_labels_are_refused() -> None:
    with pytest.raises(Unsupported, match="TLS"):
        parse_endpoint("https://s3.example.org")
    with pytest.raises(Invalid, match="two endpoints are called 'a'"):
        parse_endpoints(["a=http://x:1", "a=http://x:2"])
