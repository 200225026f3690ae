"""The clients, their environments, and what each of them does not offer or does not manage itself."""

from __future__ import annotations

from dataclasses import dataclass, field

ODD_KEYS = {
    "space": "a b.txt",
    "plus": "a+b.txt",
    "percent": "a%20b%25.txt",
    "unicode": "ü-日本-e\u0301.txt",
    "double slash": "x//y.txt",
    "trailing slash": "folder/",
}

CAPABILITIES = (
    "list",
    "read",
    "range",
    "0 B",
    "1 B",
    "5 MiB",
    "64 MiB",
    "multipart",
    *(f"key: {kind}" for kind in ODD_KEYS),
    "delete",
    "copy",
    "overwrite",
    "table",
    "write to input",
    "read out",
)


@dataclass(frozen=True)
class Limit:
    """What a client cannot do; `error` matches what it says when asked, None if it cannot be asked."""

    reason: str
    error: str | None = None


@dataclass(frozen=True)
class Client:
    """One client: `driver` is a module of `drivers`, `group` an environment.

    `own_reads` is the policy of `out` that it needs, `parts_mib` what it uploads in parts, `setting` what
    its user has to say besides the variables of the job.
    """

    name: str
    driver: str
    group: str = "core"
    own_reads: bool = False
    parts_mib: int = 24
    setting: str = "none"
    limits: dict[str, Limit] = field(default_factory=dict)

    @property
    def asked(self) -> list[str]:
        """The capabilities that it is asked for."""
        return [
            name for name in CAPABILITIES if name not in self.limits or self.limits[name].error is not None
        ]


OBJECTS = {"table": Limit("knows objects, not tables")}
NO_OFFSET = Limit(
    "has no way to name an offset; what it reads in ranges by itself is tested in the other cells"
)
QUERIES = {
    "range": Limit("has no way to name an offset; its Parquet scans are ranged reads, see `table`"),
    "delete": Limit("has no such operation on objects"),
    "copy": Limit("has no such operation on objects"),
}
TRANSFERS = dict.fromkeys(
    ("list", "range", "copy"), Limit("uploads, downloads and deletes; boto3 does the rest without the CRT")
)
TABLE_FORMAT = {"copy": Limit("a table has no such operation")}
FOLDER = {
    "key: trailing slash": Limit(
        "takes a target that ends in a slash for a folder to put the file into", "None"
    )
}
NO_SLASH = {"key: trailing slash": Limit("drops the slash at the end of a key", "None")}
NO_EMPTY_SEGMENT = {
    "key: double slash": Limit("refuses a key with an empty segment", "[Ee]mpty path (segment|component)")
}

CLIENTS = (
    Client("boto3", "boto3_client", limits=OBJECTS),
    Client("s3transfer-CRT", "crt_client", limits=OBJECTS | TRANSFERS, setting="`use_ssl=False`"),
    Client("aws CLI v1", "aws_cli", limits=OBJECTS | FOLDER),
    Client("s3fs + pandas", "s3fs_client", group="s3fs"),
    Client(
        "pyarrow",
        "pyarrow_client",
        limits=NO_EMPTY_SEGMENT
        | {
            "key: trailing slash": Limit(
                "takes a key that ends in a slash for a folder", "Not a regular file"
            )
        },
        setting="none with `s3://` addresses",
    ),
    Client("obstore", "obstore_client", limits=OBJECTS | NO_EMPTY_SEGMENT | NO_SLASH),
    Client("Polars", "polars_client", parts_mib=128, limits=QUERIES | NO_EMPTY_SEGMENT | NO_SLASH),
    Client(
        "DuckDB httpfs",
        "duckdb_client",
        limits=QUERIES
        | {
            "0 B": Limit(
                "begins an upload for an empty file and never completes it, for which the job fails",
                "assert None == b''",
            )
        },
        parts_mib=128,
        setting="`s3_url_style = 'path'`",
    ),
    Client("delta-rs", "delta_client", own_reads=True, parts_mib=128, limits=TABLE_FORMAT | NO_EMPTY_SEGMENT),
    Client(
        "PyIceberg",
        "iceberg_client",
        own_reads=True,
        parts_mib=128,
        limits=TABLE_FORMAT | NO_EMPTY_SEGMENT | {"list": Limit("lists nothing: metadata names every file")},
        setting="`s3.endpoint`",
    ),
    Client(
        "rclone",
        "rclone_client",
        limits=OBJECTS
        | {
            "key: double slash": Limit("makes one slash of two", "None"),
            "key: trailing slash": Limit("takes a key that ends in a slash for a folder", "is a directory"),
        },
        setting="`--s3-endpoint`, `--s3-env-auth`",
    ),
    Client(
        "s3cmd",
        "s3cmd_client",
        limits=OBJECTS | FOLDER | {"range": NO_OFFSET},
        setting="`--host`, `--host-bucket`, `--no-ssl`",
    ),
    Client("s5cmd", "s5cmd_client", limits=OBJECTS | FOLDER | {"range": NO_OFFSET}),
    Client("minio-py", "minio_client", limits=OBJECTS, setting="endpoint and keys are arguments"),
    Client("kfp local runner", "kfp_client", group="kfp", limits=OBJECTS),
    Client(
        "torch DataLoader",
        "torch_client",
        group="torch",
        limits=OBJECTS | {"copy": Limit("has no such operation on objects")},
        setting="`region` and `endpoint` are arguments",
    ),
)
