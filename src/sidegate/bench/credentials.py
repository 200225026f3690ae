"""Where keys come from: flags, a profile, the environment, as SDKs look for them.

Sources: AWS SDKs and Tools Reference Guide, "Shared config and credentials
files" and "Environment variables".  Nothing is asked of the network.
"""

from __future__ import annotations

import configparser
from collections.abc import Mapping
from pathlib import Path

from sidegate.bench.signing import Keys
from sidegate.errors import Invalid, NotFound

DEFAULT_REGION = "us-east-1"


def find_keys(
    environment: Mapping[str, str],
    *,
    profile: str | None = None,
    access_key: str | None = None,
    secret_key: str | None = None,
    region: str | None = None,
) -> Keys | None:
    """Return the first keys found: flags, `profile`, AWS_* variables, then the default profile.

    Raises Invalid for half of a pair, NotFound for a profile that is not there.
    """
    wanted = profile or environment.get("AWS_PROFILE") or "default"
    section = _profile(environment, wanted, required=profile is not None)
    region = (
        region
        or environment.get("AWS_REGION")
        or environment.get("AWS_DEFAULT_REGION")
        or section.get("region")
        or DEFAULT_REGION
    )
    by_flag = _pair(access_key, secret_key, None, region, "--access-key and --secret-key")
    if by_flag is not None:
        return by_flag
    by_profile = _pair(
        section.get("aws_access_key_id"),
        section.get("aws_secret_access_key"),
        section.get("aws_session_token"),
        region,
        f"aws_access_key_id and aws_secret_access_key of profile {wanted!r}",
    )
    by_variable = _pair(
        environment.get("AWS_ACCESS_KEY_ID"),
        environment.get("AWS_SECRET_ACCESS_KEY"),
        environment.get("AWS_SESSION_TOKEN"),
        region,
        "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    )
    return (by_profile or by_variable) if profile is not None else (by_variable or by_profile)


def _pair(access: str | None, secret: str | None, token: str | None, region: str, names: str) -> Keys | None:
    if bool(access) != bool(secret):
        raise Invalid(f"only one of {names} is set", remedy="set both or neither")
    return Keys(access, secret, token or None, region) if access and secret else None


def _profile(environment: Mapping[str, str], name: str, *, required: bool) -> dict[str, str]:
    """Return what both files say of a profile; the credentials file wins."""
    home = Path(environment.get("HOME", "~")).expanduser() / ".aws"
    config = Path(environment.get("AWS_CONFIG_FILE") or home / "config")
    credentials = Path(environment.get("AWS_SHARED_CREDENTIALS_FILE") or home / "credentials")
    found: dict[str, str] = {}
    known = False
    for path, section in ((config, name if name == "default" else f"profile {name}"), (credentials, name)):
        parsed = _parse(path)
        if parsed.has_section(section):
            known = True
            found |= dict(parsed.items(section, raw=True))
    if required and not known:
        raise NotFound(
            f"there is no profile {name!r} in {credentials} or {config}",
            remedy="name one with --profile, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        )
    return found


def _parse(path: Path) -> configparser.ConfigParser:
    parsed = configparser.ConfigParser(default_section="", interpolation=None)
    try:
        parsed.read(path, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError) as error:
        raise Invalid(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    return parsed
