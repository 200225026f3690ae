"""boto3 as it comes: default checksums, default transfers, presigned links."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

from sidegate.pfs.store import Store

pytestmark = pytest.mark.client

KEY, SECRET = "AKIDEXAMPLE", "secret/with+odd=characters"
MIB = 1 << 20
ODD_KEYS = [
    "plain.txt",
    "a b/c+d.txt",
    "100%/ä ö/日本.txt",
    "e\u0301 and \u00e9",
    "double//slash",
    "trailing/",
    "quote'\"<&>",
    "semi;colon=equals?question#hash",
    "😀",
    "~tilde(brackets)[more]{}",
    "new\nline",
]


def client_of(place: Any, secret: str = SECRET, **config: object) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=place.endpoint,
        aws_access_key_id=KEY,
        aws_secret_access_key=secret,
        region_name="us-east-1",
        config=Config(retries={"max_attempts": 0}, **config),
    )


def test_odd_keys_come_and_go(place: Any) -> None:
    s3 = client_of(place)
    for key in ODD_KEYS:
        put = s3.put_object(Bucket=place.bucket, Key=key, Body=key.encode(), Metadata={"k": "v"})
        head = s3.head_object(Bucket=place.bucket, Key=key)
        assert (head["ETag"], head["ContentLength"]) == (put["ETag"], len(key.encode()))
        assert head["Metadata"] == {"k": "v"}
        assert put["ChecksumCRC32"]
    listed = [entry["Key"] for entry in s3.list_objects_v2(Bucket=place.bucket)["Contents"]]
    assert listed == sorted(ODD_KEYS, key=str.encode)
    assert place.files() == {key: key.encode() for key in ODD_KEYS}
    copied = s3.copy_object(
        Bucket=place.bucket, Key="copy", CopySource={"Bucket": place.bucket, "Key": ODD_KEYS[2]}
    )
    assert copied["CopyObjectResult"]["ETag"] == s3.head_object(Bucket=place.bucket, Key="copy")["ETag"]
    document = {"Objects": [{"Key": key} for key in [*ODD_KEYS, "copy", "absent"]]}
    deleted = s3.delete_objects(Bucket=place.bucket, Delete=document)
    assert len(deleted["Deleted"]) == len(ODD_KEYS) + 2
    assert "Errors" not in deleted
    assert place.files() == {}


def test_files_go_up_and_down_in_parts(general: Any, tmp_path: Path) -> None:
    s3 = client_of(general)
    content = os.urandom(21 * MIB + 12_345)
    (tmp_path / "up").write_bytes(content)
    s3.upload_file(
        str(tmp_path / "up"), "labs", "big", ExtraArgs={"ContentType": "text/x", "Metadata": {"a": "1"}}
    )
    head = s3.head_object(Bucket="labs", Key="big")
    assert (head["ContentType"], head["Metadata"], head["ETag"][-3:]) == ("text/x", {"a": "1"}, '-3"')
    s3.download_file("labs", "big", str(tmp_path / "down"))
    assert (tmp_path / "down").read_bytes() == content
    ranged = s3.get_object(Bucket="labs", Key="big", Range="bytes=8388000-8390000")
    assert ranged["Body"].read() == content[8388000:8390001]


def test_multipart_to_out_is_seen_but_not_read(sidecar: Any) -> None:
    s3 = client_of(sidecar)
    content = os.urandom(9 * MIB)
    s3.upload_fileobj(io.BytesIO(content), "out", "big")
    assert s3.head_object(Bucket="out", Key="big")["ContentLength"] == len(content)
    with pytest.raises(ClientError) as refused:
        s3.get_object(Bucket="out", Key="big")
    assert refused.value.response["Error"]["Code"] == "AccessDenied"
    assert "write-only" in refused.value.response["Error"]["Message"]
    assert sidecar.files() == {"big": content}


def test_uneven_parts_and_part_copies(general: Any) -> None:
    s3 = client_of(general)
    bodies = [os.urandom(size) for size in (5 * MIB, 6 * MIB + 1, 10)]
    upload = s3.create_multipart_upload(Bucket="labs", Key="k", ChecksumAlgorithm="CRC32")["UploadId"]
    name = {"Bucket": "labs", "Key": "k", "UploadId": upload}
    parts = []
    for number, body in enumerate(bodies, 1):
        part = s3.upload_part(**name, PartNumber=number, Body=body, ChecksumAlgorithm="CRC32")
        parts.append({"PartNumber": number, "ETag": part["ETag"], "ChecksumCRC32": part["ChecksumCRC32"]})
    assert [part["Size"] for part in s3.list_parts(**name)["Parts"]] == [len(body) for body in bodies]
    s3.complete_multipart_upload(**name, MultipartUpload={"Parts": parts})
    again = s3.complete_multipart_upload(**name, MultipartUpload={"Parts": parts})
    assert again["ETag"] == s3.head_object(Bucket="labs", Key="k")["ETag"]
    s3.copy(
        {"Bucket": "labs", "Key": "k"},
        "labs",
        "copy",
        Config=TransferConfig(multipart_threshold=1, multipart_chunksize=5 * MIB),
    )
    assert general.files() == {"k": b"".join(bodies), "copy": b"".join(bodies)}


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
def test_every_checksum_it_can_send(general: Any, algorithm: str) -> None:
    s3 = client_of(general)
    put = s3.put_object(Bucket="labs", Key="k", Body=b"data" * 1000, ChecksumAlgorithm=algorithm)
    got = s3.get_object(Bucket="labs", Key="k", ChecksumMode="ENABLED")
    assert got["Body"].read() == b"data" * 1000
    assert got[f"Checksum{algorithm}"] == put[f"Checksum{algorithm}"]


def test_paginators_of_both_versions(place: Any) -> None:
    s3 = client_of(place)
    keys = [f"{folder}/{number:02} x" for folder in ("a", "b") for number in range(12)]
    for key in keys:
        s3.put_object(Bucket=place.bucket, Key=key, Body=b"")
    for operation in ("list_objects_v2", "list_objects"):
        pages = s3.get_paginator(operation).paginate(Bucket=place.bucket, PaginationConfig={"PageSize": 5})
        assert [entry["Key"] for page in pages for entry in page["Contents"]] == keys
    folded = s3.list_objects_v2(Bucket=place.bucket, Delimiter="/")
    assert [entry["Prefix"] for entry in folded["CommonPrefixes"]] == ["a/", "b/"]


def test_inputs_are_read_and_never_written(sidecar: Any) -> None:
    s3 = client_of(sidecar)
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["inp", "out"]
    assert s3.get_object(Bucket="inp", Key="top.txt")["Body"].read() == b"top"
    attempts: list[Callable[[], object]] = [
        lambda: s3.put_object(Bucket="inp", Key="x", Body=b"x"),
        lambda: s3.delete_object(Bucket="inp", Key="top.txt"),
        lambda: s3.delete_objects(Bucket="inp", Delete={"Objects": [{"Key": "top.txt"}]}),
        lambda: s3.create_multipart_upload(Bucket="inp", Key="x"),
        lambda: s3.copy_object(Bucket="inp", Key="x", CopySource="inp/top.txt"),
        lambda: s3.put_object(Bucket="inp", Key="big", Body=io.BytesIO(bytes(3 * MIB))),
    ]
    for attempt in attempts:
        with pytest.raises(ClientError, match="read-only") as refused:
            attempt()
        assert refused.value.response["Error"]["Code"] == "AccessDenied"
    assert s3.get_object(Bucket="inp", Key="top.txt")["Body"].read() == b"top"
    s3.copy_object(Bucket="out", Key="x", CopySource="inp/folder/a.csv")
    assert sidecar.files() == {"x": b"1,2\n" * 1000}


def test_errors_carry_the_codes_that_code_looks_for(general: Any) -> None:
    s3 = client_of(general)
    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket="labs", Key="absent")
    with pytest.raises(s3.exceptions.NoSuchBucket):
        s3.list_objects_v2(Bucket="nowhere")
    with pytest.raises(s3.exceptions.BucketAlreadyOwnedByYou):
        s3.create_bucket(Bucket="labs")
    s3.put_object(Bucket="labs", Key="k", Body=b"one", IfNoneMatch="*")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.put_object(Bucket="labs", Key="k", Body=b"two", IfNoneMatch="*")
    with pytest.raises(ClientError, match="404"):
        s3.head_object(Bucket="labs", Key="absent")
    with pytest.raises(ClientError, match="InvalidRange"):
        s3.get_object(Bucket="labs", Key="k", Range="bytes=100-")


def test_a_dot_segment_never_leaves_its_bucket(sidecar: Any) -> None:
    """Trap 17: boto3 sends `PUT /out/../inp/top.txt` as it is."""
    s3 = client_of(sidecar)
    with pytest.raises(ClientError, match="InvalidArgument"):
        s3.put_object(Bucket="out", Key="../inp/top.txt", Body=b"broken out")
    assert s3.get_object(Bucket="inp", Key="top.txt")["Body"].read() == b"top"
    assert sidecar.files() == {}


def test_many_threads_share_one_client(general: Any) -> None:
    s3 = client_of(general, max_pool_connections=8)

    def work(number: int) -> None:
        for index in range(10):
            s3.put_object(Bucket="labs", Key=f"{number}/{index}", Body=f"{number} {index}".encode())

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert general.files() == {f"{n}/{i}": f"{n} {i}".encode() for n in range(8) for i in range(10)}


# -- signatures ------------------------------------------------------------------


@pytest.mark.parametrize("version", ["s3", "s3v4"], ids=["SigV2", "SigV4"])
@pytest.mark.parametrize("kind", ["general", "keyed"])
def test_presigned_links(request: pytest.FixtureRequest, kind: str, version: str) -> None:
    """Trap 40: boto3 signs links with SigV2 on an endpoint of one's own."""
    place = request.getfixturevalue(kind)
    s3 = client_of(place, signature_version=version)
    for key in ("k", "a b+ü/%41&x=1.txt"):
        client_of(place).put_object(Bucket="labs", Key=key, Body=b"shared")
        link = s3.generate_presigned_url(
            "get_object",
            Params={
                "Bucket": "labs",
                "Key": key,
                "ResponseContentDisposition": 'attachment; filename="ü.txt"',
            },
        )
        with urlopen(link, timeout=20) as answer:
            assert answer.read() == b"shared"
            assert answer.headers["content-disposition"].startswith("attachment")
        upload = s3.generate_presigned_url("put_object", Params={"Bucket": "labs", "Key": key})
        with urlopen(
            Request(upload, data=b"changed", method="PUT", headers={"content-type": ""}), timeout=20
        ):
            pass
        assert client_of(place).get_object(Bucket="labs", Key=key)["Body"].read() == b"changed"


def test_presigning_by_default(keyed: Any) -> None:
    s3 = client_of(keyed)
    s3.put_object(Bucket="labs", Key="k", Body=b"shared")
    with urlopen(
        s3.generate_presigned_url("get_object", Params={"Bucket": "labs", "Key": "k"}), timeout=20
    ) as got:
        assert got.read() == b"shared"


@pytest.mark.parametrize("version", ["s3", "s3v4"], ids=["SigV2", "SigV4"])
def test_keys_are_checked_where_they_are_asked_for(keyed: Any, version: str) -> None:
    right, wrong = (client_of(keyed, secret, signature_version=version) for secret in (SECRET, "wrong"))
    for key in ODD_KEYS:
        right.put_object(Bucket="labs", Key=key, Body=key.encode())
        assert right.get_object(Bucket="labs", Key=key)["Body"].read() == key.encode()
    assert len(right.list_objects_v2(Bucket="labs", Prefix="", Delimiter="")["Contents"]) == len(ODD_KEYS)
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        wrong.get_object(Bucket="labs", Key="plain.txt")
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        wrong.put_object(Bucket="labs", Key="new", Body=b"x")
    with pytest.raises(ClientError, match="AccessDenied"):
        anonymous(keyed).get_object(Bucket="labs", Key="plain.txt")
    assert set(keyed.files()) == set(ODD_KEYS)


def anonymous(place: Any) -> Any:
    from botocore import UNSIGNED

    return client_of(place, signature_version=UNSIGNED)


def test_anonymous_clients_need_no_keys_on_loopback(place: Any) -> None:
    s3 = anonymous(place)
    s3.put_object(Bucket=place.bucket, Key="k", Body=b"data")
    s3.upload_fileobj(io.BytesIO(bytes(9 * MIB)), place.bucket, "big")
    assert {path: len(content) for path, content in place.files().items()} == {"k": 4, "big": 9 * MIB}


def test_a_whole_repo_is_made_filled_and_versioned(general: Any, store: Store) -> None:
    s3 = client_of(general)
    s3.create_bucket(Bucket="fresh")
    s3.put_object(Bucket="fresh", Key="k", Body=b"one")
    (first,) = store.finish_open("fresh", "master")
    s3.put_object(Bucket="fresh", Key="k", Body=b"two")
    assert s3.get_object(Bucket=f"{first.id}.master.fresh", Key="k")["Body"].read() == b"one"
    assert s3.get_object(Bucket="fresh", Key="k")["Body"].read() == b"two"
    with pytest.raises(ClientError, match="BucketNotEmpty"):
        s3.delete_bucket(Bucket="fresh")
