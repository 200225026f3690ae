"""The environment of a job's process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from sidegate.pps.environment import Contribution, InputVariable, JobEnvironment, build_environment

ENDPOINT = "http://127.0.0.1:34567"


def job(endpoint: str | None = ENDPOINT, **fields: object) -> JobEnvironment:
    values: dict[str, object] = {
        "job_id": "j" * 32,
        "datum_id": "d" * 64,
        "output_commit_id": "c" * 32,
        "endpoint": endpoint,
        "access_key": "j" * 32,
        "pfs_root": "/pfs",
        "inputs": [
            InputVariable("labresults", "1" * 32),
            InputVariable("words", "2" * 32, "/pfs/words/a.txt"),
        ],
    }
    return JobEnvironment(**{**values, **fields})  # type: ignore[arg-type]


def test_injected_variables() -> None:
    built = build_environment(job(), {"HOME": "/home/me"}, {})
    assert built.variables == {
        "HOME": "/home/me",
        "PACH_JOB_ID": "j" * 32,
        "PACH_OUTPUT_COMMIT_ID": "c" * 32,
        "PACH_DATUM_ID": "d" * 64,
        "PFS_ROOT": "/pfs",
        "labresults_COMMIT": "1" * 32,
        "words_COMMIT": "2" * 32,
        "words": "/pfs/words/a.txt",
        "S3_ENDPOINT": ENDPOINT,
        "S3_ENDPOINT_URL": ENDPOINT,
        "AWS_ENDPOINT_URL": ENDPOINT,
        "AWS_ENDPOINT_URL_S3": ENDPOINT,
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "j" * 32,
        "AWS_SECRET_ACCESS_KEY": "j" * 32,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "DUCKDB_S3_ENDPOINT": "127.0.0.1:34567",
        "DUCKDB_S3_USE_SSL": "false",
        "NO_PROXY": "127.0.0.1,localhost,::1",
        "no_proxy": "127.0.0.1,localhost,::1",
    }
    assert (built.removed, built.replaced, built.notes) == ((), (), ())


def test_a_job_without_s3_keeps_the_users_aws() -> None:
    user = {"AWS_PROFILE": "prod", "AWS_SESSION_TOKEN": "t"}
    built = build_environment(job(None), user, {"X": "1"}, configuration_exists=True)
    assert {**user, "X": "1"}.items() <= built.variables.items()
    assert "S3_ENDPOINT" not in built.variables
    assert built.describe() == []


@pytest.mark.parametrize(
    "name",
    [
        "AWS_PROFILE",
        "AWS_DEFAULT_PROFILE",
        "AWS_SESSION_TOKEN",
        "AWS_SECURITY_TOKEN",
        "AWS_CREDENTIAL_EXPIRATION",
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
        "AWS_USE_FIPS_ENDPOINT",
        "AWS_USE_DUALSTACK_ENDPOINT",
        "AWS_ENDPOINT",
        "AWS_ENDPOINT_URL_S3_CONTROL",
        "AWS_VIRTUAL_HOSTED_STYLE_REQUEST",
        "DUCKDB_S3_URL_STYLE",
    ],
)
def test_what_leads_away_is_removed_and_told(name: str) -> None:
    built = build_environment(job(), {name: "secret"}, {})
    assert name not in built.variables
    assert built.removed == (name,)
    assert name in " ".join(built.describe())
    assert "secret" not in " ".join(built.describe())


@pytest.mark.parametrize(
    "name", ["AWS_ENDPOINT_URL_DYNAMODB", "AWS_PAGER", "AWS_REQUEST_CHECKSUM_CALCULATION"]
)
def test_what_does_not_lead_s3_away_stays(name: str) -> None:
    built = build_environment(job(), {name: "x"}, {})
    assert built.variables[name] == "x"
    assert built.describe() == []


def test_replaced_variables_are_told() -> None:
    built = build_environment(job(), {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_REGION": "us-east-1"}, {})
    assert built.replaced == ("AWS_ACCESS_KEY_ID",)


def test_transform_wins_over_injected_over_user() -> None:
    user = {"PFS_ROOT": "user", "AWS_REGION": "user", "A": "user", "B": "user"}
    transform = {"AWS_REGION": "transform", "A": "transform", "AWS_PROFILE": "transform"}
    variables = build_environment(job(), user, transform).variables
    assert variables["AWS_REGION"] == "transform"
    assert variables["A"] == "transform"
    assert variables["AWS_PROFILE"] == "transform"
    assert variables["B"] == "user"
    assert variables["PFS_ROOT"] == "/pfs"


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ({"NO_PROXY": "example.com, localhost"}, "example.com,localhost,127.0.0.1,::1"),
        ({"no_proxy": "*"}, "*,127.0.0.1,localhost,::1"),
        ({"no_proxy": "a", "NO_PROXY": "b"}, "a,b,127.0.0.1,localhost,::1"),
    ],
)
def test_no_proxy_is_extended(user: Mapping[str, str], expected: str) -> None:
    built = build_environment(job(), {**user, "HTTPS_PROXY": "http://proxy:1"}, {})
    assert built.variables["NO_PROXY"] == built.variables["no_proxy"] == expected
    assert built.variables["HTTPS_PROXY"] == "http://proxy:1"
    assert built.notes == ("NO_PROXY covers the gateway",)


def test_hidden_configuration_is_told() -> None:
    built = build_environment(job(), {}, {}, configuration_exists=True)
    assert built.notes == ("the AWS configuration files of the user are not read",)
    own = build_environment(job(), {}, {"AWS_CONFIG_FILE": "/x"}, configuration_exists=True)
    assert own.notes == ()
    assert own.variables["AWS_CONFIG_FILE"] == "/x"


def test_contributors_add_variables() -> None:
    def spark(given: JobEnvironment, variables: Mapping[str, str]) -> Contribution:
        laid = {"SPARK_CONF_DIR": f"/conf/{given.job_id[:2]}", "A": f"over {variables['A']}"}
        return Contribution(laid, ["laid under yours"])

    built = build_environment(job(contributors=[spark]), {"A": "user"}, {"A": "spec"})
    assert built.variables["SPARK_CONF_DIR"] == "/conf/jj"
    assert built.variables["A"] == "over spec"
    assert built.notes == ("laid under yours",)


HOSTILE_CONFIGURATION = """
[default]
region = eu-west-1
endpoint_url = https://elsewhere.example
ignore_configured_endpoint_urls = true
use_fips_endpoint = true
use_dualstack_endpoint = true
s3 =
    addressing_style = virtual
    use_accelerate_endpoint = true
[profile prod]
role_arn = arn:aws:iam::1:role/x
source_profile = default
"""

ASK_BOTO = """
import json, botocore.session
client = botocore.session.get_session().create_client("s3")
url = client.generate_presigned_url("get_object", Params={"Bucket": "labresults", "Key": "k"})
keys = client._request_signer._credentials
meta = client.meta
print(json.dumps([meta.endpoint_url, meta.region_name, url.split("?")[0], keys.access_key, keys.token]))
"""


def test_boto_is_led_to_the_gateway_whatever_the_user_has_configured(tmp_path: Path) -> None:
    pytest.importorskip("botocore")
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text(HOSTILE_CONFIGURATION)
    (tmp_path / ".aws" / "credentials").write_text("[default]\naws_access_key_id=AKIA\naws_session_token=t\n")
    user = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "AWS_PROFILE": "prod",
        "AWS_SESSION_TOKEN": "token",
        "AWS_ENDPOINT_URL_S3": "https://elsewhere.example",
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
        "AWS_USE_FIPS_ENDPOINT": "true",
        "AWS_CREDENTIAL_EXPIRATION": "2001-01-01T00:00:00Z",
    }
    built = build_environment(job(), user, {})
    answer = subprocess.run(
        [sys.executable, "-c", ASK_BOTO],
        env=dict(built.variables),
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(answer.stdout) == [
        ENDPOINT,
        "us-east-1",
        f"{ENDPOINT}/labresults/k",
        "j" * 32,
        None,
    ]
