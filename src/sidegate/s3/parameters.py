"""Query parameters and numbers that several operations share.

Decides their limits and what a bad one is answered with.  It does not know the
operation.
"""

from __future__ import annotations

import re

from sidegate.native.part_columns import MAX_NUMBER
from sidegate.s3.errors import S3Error
from sidegate.s3.target import Query

# API_UploadPart: "any part number from 1 to 10,000, inclusive".
MAX_PART_NUMBER = MAX_NUMBER
_NUMBER = re.compile(r"\d{1,10}", re.ASCII).fullmatch


def check_version(query: Query) -> None:
    """Refuse every version but "null", which is the current object.

    Raises S3Error NoSuchVersion.  No answer ever carries a version id.
    """
    version = query.get("versionId")
    if version is not None and version not in ("", "null"):
        raise S3Error("NoSuchVersion", fields={"VersionId": version})


def parse_part_number(value: str) -> int:
    """Return a part number; raises S3Error InvalidArgument outside 1 to 10,000."""
    number = int(value) if _NUMBER(value) else 0
    if not 1 <= number <= MAX_PART_NUMBER:
        raise S3Error(
            "InvalidArgument",
            f"Part number must be an integer between 1 and {MAX_PART_NUMBER}, inclusive",
            fields={"ArgumentName": "partNumber", "ArgumentValue": value},
        )
    return number


def parse_upload_id(query: Query) -> str:
    """Return the upload id; raises S3Error NoSuchUpload when it is empty."""
    upload_id = query.get("uploadId", "")
    if not upload_id:
        raise S3Error("NoSuchUpload", fields={"UploadId": upload_id})
    return upload_id


def parse_limit(query: Query, name: str, largest: int) -> int:
    """Return a page limit, capped at `largest`, which is also the default.

    Raises S3Error InvalidArgument unless it is a whole number of 0 or more.
    """
    value = query.get(name)
    if value is None or value == "":
        return largest
    if _NUMBER(value) is None:
        raise S3Error(
            "InvalidArgument",
            f"{name} is not an integer between 0 and 2147483647",
            fields={"ArgumentName": name, "ArgumentValue": value},
        )
    return min(int(value), largest)
