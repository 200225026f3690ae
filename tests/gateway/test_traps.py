"""The 45 traps of the study of clients: where real clients and servers fall out.

`TRAPS` says for each which test sends it, here or beside; the requests of this
file are those of the recorded clients, named in each test.
"""

from __future__ import annotations

import ast
import re
from email.utils import parsedate_to_datetime
from functools import lru_cache
from pathlib import Path

import pytest
from gateway_harness import PAIRS, Client, Job, aws_chunked, complete_document, http_chunked, md5_header

from sidegate.http.limits import Limits

TESTS = Path(__file__).resolve().parent.parent

TRAPS: dict[int, tuple[str, tuple[str, ...]]] = {
    1: (
        "aws-chunked without Content-Encoding",
        (
            "gateway/test_gateway_payloads.py::test_every_framing_stores_the_same_object",
            "s3/test_s3_payload.py::test_trap_1_content_encoding_does_not_choose_the_framing",
        ),
    ),
    2: (
        "no Content-Length: transfer-encoding around aws-chunked",
        ("gateway/test_traps.py::test_trap_2_pyarrow_sends_a_part_without_a_length",),
    ),
    3: (
        "a marker of 0 bytes with 86 bytes of framing",
        ("gateway/test_gateway_payloads.py::test_a_zero_byte_marker_with_86_bytes_of_framing_is_empty",),
    ),
    4: (
        "Expect: 100-continue",
        (
            "gateway/test_gateway_payloads.py::test_100_continue_comes_at_once_and_only_once",
            "gateway/test_gateway_payloads.py::test_a_client_that_does_not_wait_for_100_is_served",
            "gateway/test_gateway_payloads.py::test_expect_on_a_body_of_zero_bytes_gets_its_100_too",
            "gateway/test_traps.py::test_trap_4_crt_expects_a_100_for_complete_and_does_not_wait",
        ),
    ),
    5: (
        "the interim response counted as the response",
        (
            "gateway/test_gateway_payloads.py::test_100_continue_comes_at_once_and_only_once",
            "http/test_http_bodies.py::test_continue_is_sent_when_the_body_is_first_wanted",
        ),
    ),
    6: (
        "HEAD with a Content-Length of 0",
        ("gateway/test_gateway_reads.py::test_head_carries_the_real_length_and_no_body",),
    ),
    7: (
        "clients that leave in the middle of a body",
        (
            "gateway/test_gateway_reads.py::test_a_client_that_goes_away_mid_body_hurts_nobody",
            "gateway/test_gateway_payloads.py::test_a_client_that_vanishes_leaves_nothing",
            "http/test_http_sending.py::test_the_source_is_closed_when_the_peer_goes_away",
        ),
    ),
    8: (
        "keep-alive after errors",
        (
            "gateway/test_gateway_reads.py::test_a_connection_lives_on_after_304_and_errors",
            "gateway/test_gateway_inputs.py::test_a_connection_survives_a_refused_upload",
        ),
    ),
    9: (
        "compressing what a Go client offers to decompress",
        (
            "gateway/test_gateway_reads.py::test_bodies_are_never_compressed_for_the_wire",
            "gateway/test_gateway_payloads.py::test_aws_chunked_is_never_stored_as_an_encoding",
        ),
    ),
    10: (
        "idle connections closed too early or with RST",
        (
            "http/test_http_server.py::test_an_idle_connection_is_closed_with_fin",
            "gateway/test_traps.py::test_trap_10_an_idle_connection_lives_for_a_minute",
        ),
    ),
    11: (
        "targets with and without a slash, parameters with and without a value",
        ("gateway/test_traps.py::test_trap_11_a_slash_or_an_empty_value_makes_no_other_request",),
    ),
    12: (
        "unknown parameters and headers",
        ("gateway/test_traps.py::test_trap_12_what_nobody_knows_is_ignored",),
    ),
    13: (
        "a host name with dots taken for a bucket",
        ("gateway/test_gateway_inputs.py::test_a_kubernetes_host_name_is_no_bucket",),
    ),
    14: (
        "a plus in a path decoded to a space",
        (
            "gateway/test_gateway_keys.py::test_each_key_is_stored_as_it_is_meant",
            "gateway/test_gateway_keys.py::test_a_plus_in_a_query_is_a_space",
        ),
    ),
    15: (
        "listings that encode a space as a plus",
        (
            "gateway/test_gateway_keys.py::test_url_encoding_covers_every_name",
            "gateway/test_gateway_keys.py::test_a_key_that_cannot_be_kept_is_refused_whatever_is_asked",
        ),
    ),
    16: (
        "double slashes collapsed",
        ("gateway/test_traps.py::test_trap_16_boto3_sends_double_slashes_and_they_stay",),
    ),
    17: (
        "dot segments that lead into another bucket",
        ("gateway/test_traps.py::test_trap_17_boto3_sends_dot_segments_and_they_lead_nowhere",),
    ),
    18: (
        "Unicode normalised, or sorted by anything but UTF-8",
        (
            "gateway/test_gateway_keys.py::test_each_key_is_stored_as_it_is_meant",
            "gateway/test_gateway_keys.py::test_listings_sort_by_utf8_bytes",
        ),
    ),
    19: (
        "a marker shown twice, or as something else",
        ("gateway/test_gateway_keys.py::test_prefix_delimiter_and_start_after",),
    ),
    20: (
        "markers that one S3A deletes and the next one keeps",
        (
            "gateway/test_traps.py::test_trap_20_s3a_sees_a_folder_with_and_without_its_marker",
            "gateway/test_gateway_keys.py::test_a_listing_after_each_write_and_delete_is_up_to_date",
        ),
    ),
    21: (
        "start-after beside a token",
        ("gateway/test_traps.py::test_trap_21_a_token_outweighs_start_after_and_is_echoed_only_if_sent",),
    ),
    22: (
        "max-keys of 5000, 1 and 0",
        ("gateway/test_traps.py::test_trap_22_max_keys_of_s3a_pyarrow_and_mountpoint",),
    ),
    23: (
        "NextMarker in version 1",
        ("gateway/test_gateway_keys.py::test_version_1_pages_by_marker",),
    ),
    24: (
        "names that are no bucket's",
        (
            "gateway/test_traps.py::test_trap_24_pyarrow_asks_for_a_bucket_that_no_one_has",
            "gateway/test_gateway_inputs.py::test_a_name_that_java_cannot_hold_answers_with_hyphens",
        ),
    ),
    25: (
        "ETags without quotes",
        ("gateway/test_traps.py::test_trap_25_sdk_v1_sends_tags_without_quotes",),
    ),
    26: (
        "copy sources in many spellings",
        ("gateway/test_gateway_writes.py::test_copy_sources_come_in_many_spellings",),
    ),
    27: (
        "Content-MD5 that S3A copies from HEAD into COPY",
        (
            "gateway/test_traps.py::test_trap_27_s3a_copies_the_headers_of_a_head_into_a_copy",
            "s3/test_s3_reading.py::test_trap_27_content_md5_is_never_sent",
        ),
    ),
    28: (
        "ranges",
        (
            "gateway/test_gateway_reads.py::test_every_form_of_range",
            "gateway/test_gateway_reads.py::test_a_range_that_is_none_is_ignored",
            "gateway/test_gateway_reads.py::test_a_range_outside_is_416_and_says_the_size",
        ),
    ),
    29: (
        "parts of unequal size",
        (
            "gateway/test_gateway_multipart.py::test_uneven_parts_with_gaps_in_any_order",
            "gateway/test_gateway_multipart.py::test_a_single_part_of_any_size",
            "gateway/test_gateway_multipart.py::test_a_part_sent_again_replaces_the_first",
        ),
    ),
    30: (
        "spellings of Complete and Delete",
        (
            "gateway/test_gateway_multipart.py::test_complete_documents_come_in_many_spellings",
            "gateway/test_gateway_writes.py::test_delete_document_variants",
        ),
    ),
    31: (
        "Complete again after a lost answer",
        (
            "gateway/test_gateway_multipart.py::test_complete_again_gives_the_same_answer",
            "gateway/test_gateway_multipart.py::test_the_same_complete_twice_at_once_succeeds_twice",
        ),
    ),
    32: (
        "an error of Complete inside a 200",
        ("gateway/test_traps.py::test_trap_32_complete_answers_with_its_real_status_and_length",),
    ),
    33: (
        "x-amz-version-id, which rclone follows",
        ("gateway/test_traps.py::test_trap_33_no_answer_names_a_version_and_null_is_the_current_one",),
    ),
    34: (
        "which 404 it is",
        ("gateway/test_traps.py::test_trap_34_a_missing_bucket_and_a_missing_key_are_told_apart",),
    ),
    35: (
        "user metadata lost on the way",
        (
            "gateway/test_gateway_reads.py::test_metadata_survives_put_head_and_get",
            "gateway/test_gateway_reads.py::test_metadata_that_is_not_ascii_comes_back_as_it_was_sent",
            "gateway/test_gateway_writes.py::test_a_copy_has_bytes_tag_and_metadata_of_its_source",
        ),
    ),
    36: (
        "conditional writes that lose one of two",
        (
            "gateway/test_gateway_writes.py::test_put_conditions",
            "gateway/test_gateway_writes.py::test_of_many_conditional_puts_at_once_exactly_one_wins",
            "gateway/test_gateway_multipart.py::test_complete_if_none_match_again_is_no_conflict_with_itself",
        ),
    ),
    37: (
        "ListMultipartUploads without a prefix",
        (
            "gateway/test_traps.py::test_trap_37_s3a_looks_for_pending_uploads_below_its_destination",
            "gateway/test_gateway_publication.py::test_rows_left_under_temporary_fail_the_job",
        ),
    ),
    38: (
        "checksums on ranges, and composite ones",
        (
            "gateway/test_gateway_reads.py::test_a_checksum_is_shown_for_a_whole_object_and_never_for_a_range",
            "gateway/test_gateway_reads.py::test_a_composite_checksum_is_never_shown",
        ),
    ),
    39: (
        "response-* overrides",
        ("gateway/test_gateway_reads.py::test_query_overrides_replace_headers",),
    ),
    40: (
        "presigned URLs, also of version 2",
        (
            "gateway/test_front_doors.py::test_what_boto3_signs_is_served_unchecked",
            "s3/test_s3_signature.py::test_trap_40_a_version_2_presigned_url",
        ),
    ),
    41: (
        "signatures checked too strictly",
        (
            "gateway/test_front_doors.py::test_no_signature_is_wrong_in_a_sidecar",
            "s3/test_s3_signature.py::test_trap_41_a_quarter_of_an_hour_of_skew",
            "s3/test_s3_signature.py::test_what_botocore_signs_is_accepted",
        ),
    ),
    42: (
        "times that differ between answers",
        (
            "gateway/test_gateway_reads.py::test_head_get_list_and_304_agree_on_etag_and_time",
            "s3/test_s3_etag_dates.py::test_trap_42_dates_are_constant_and_in_their_formats",
        ),
    ),
    43: (
        "headers that clients look for, and one that changes goofys",
        ("gateway/test_traps.py::test_trap_43_the_headers_that_clients_look_for",),
    ),
    44: (
        "words of errors in the answer to Complete",
        (
            "gateway/test_traps.py::test_trap_44_an_answer_to_complete_holds_no_word_that_object_store_retries",
        ),
    ),
    45: (
        "tags of large copies",
        ("gateway/test_traps.py::test_trap_45_the_aws_cli_copies_tags_with_large_objects",),
    ),
}


@lru_cache
def names_in(name: str) -> frozenset[str]:
    tree = ast.parse((TESTS / name).read_text(encoding="utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


def test_every_trap_has_tests_and_each_of_them_exists() -> None:
    assert sorted(TRAPS) == list(range(1, 46))
    named = [identity.split("::") for _, identities in TRAPS.values() for identity in identities]
    assert [f"{module}::{test}" for module, test in named if test not in names_in(module)] == []
    assert all(identities for _, identities in TRAPS.values())


def test_every_test_of_a_trap_is_listed_under_it() -> None:
    for test in names_in("gateway/test_traps.py"):
        number = re.match(r"test_trap_(\d+)_", test)
        if number is not None:
            assert f"gateway/test_traps.py::{test}" in TRAPS[int(number.group(1))][1]


# -- framing and HTTP ----------------------------------------------------


@pytest.mark.parametrize("pair", PAIRS, indirect=True, ids="-".join)
def test_trap_2_pyarrow_sends_a_part_without_a_length(own_reads_job: Job) -> None:
    """pyarrow: a part of 3 bytes, framed twice, with a trailer, after a 100; 411 is the classic break."""
    client = own_reads_job.client
    target = "/out/arrow/a.txt"
    upload = client.create_upload(target, {"content-type": "binary/octet-stream"})
    head = client.render_head(
        "PUT",
        f"{target}?partNumber=1&uploadId={upload}",
        {
            "content-encoding": "aws-chunked",
            "content-type": "binary/octet-stream",
            "expect": "100-continue",
            "transfer-encoding": "chunked",
            "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
            "x-amz-decoded-content-length": "3",
            "x-amz-trailer": "x-amz-checksum-crc64nvme",
        },
    )
    connection = client.connect()
    connection.sendall(head)
    assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
    connection.sendall(
        http_chunked(aws_chunked(b"abc", trailers=[b"x-amz-checksum-crc64nvme:BeXKuz/B+us=\r\n"]))
    )
    part = client.read("PUT")
    assert (part.status, part.headers["x-amz-checksum-crc64nvme"]) == (200, "BeXKuz/B+us=")
    assert client.complete(target, upload, [(1, part.etag)]).status == 200
    assert client.get(target).body == b"abc"


def test_trap_4_crt_expects_a_100_for_complete_and_does_not_wait(own_reads_job: Job) -> None:
    """aws-cli 2 with the CRT, from its standard input."""
    client = own_reads_job.client
    target = "/out/cli/stdin"
    upload = client.create_upload(target, {"x-amz-checksum-algorithm": "CRC64NVME"})
    document = complete_document([(1, client.put_part(target, upload, 1, b"piped"))])
    head = client.render_head("POST", f"{target}?uploadId={upload}", {"expect": "100-continue"}, document)
    assert client.exchange(head + document, "POST").status == 200
    assert client.get(target).body == b"piped"


def test_trap_10_an_idle_connection_lives_for_a_minute() -> None:
    """S3A keeps connections for 60 s at least; a close that races with a PUT costs a retry."""
    assert Limits().idle_seconds >= 60


def test_trap_11_a_slash_or_an_empty_value_makes_no_other_request(job: Job) -> None:
    """S3A writes `/out/?uploads`, Go clients `?uploads=`, minio-py `?location=`."""
    client = job.client
    for target in ("/out?uploads", "/out/?uploads", "/out?uploads=", "/out/?uploads=&prefix="):
        assert b"<ListMultipartUploadsResult" in client.get(target).body, target
    for target in ("/inp?location", "/inp/?location=", "/inp?location="):
        assert b"<LocationConstraint" in client.get(target).body, target
    for target in ("/inp/?list-type=2&delimiter=&prefix=", "/inp?list-type=2", "/inp", "/inp/"):
        assert len(client.get(target).texts("Contents/Key")) == 6, target
    for target in ("/out/k?uploads", "/out/k?uploads="):
        assert b"<UploadId>" in client.ask("POST", target, b"").body, target
    document = b"<Delete><Object><Key>k</Key></Object></Delete>"
    for target in ("/out?delete", "/out/?delete", "/out?delete=", "/out/?delete="):
        assert client.ask("POST", target, document).texts("Deleted/Key") == ["k"], target
    assert client.head("/inp/").status == client.head("/inp").status == 200


def test_trap_12_what_nobody_knows_is_ignored(own_reads_job: Job) -> None:
    """SDKs of Java, Go and Rust add `x-id`, CRT new headers."""
    client = own_reads_job.client
    client.put("/out/k?x-id=PutObject", b"1", {"x-amz-object-annotation-directive": "COPY"})
    assert client.get("/out/k?x-id=GetObject").body == b"1"
    assert client.keys("out", "&fetch-owner=false&x-id=ListObjectsV2&new-thing") == ["k"]
    assert client.ask("DELETE", "/out/k?x-id=DeleteObject", headers={"x-amz-future": "1"}).status == 204


# -- keys and listings ---------------------------------------------------


def test_trap_16_boto3_sends_double_slashes_and_they_stay(own_reads_job: Job) -> None:
    client = own_reads_job.client
    client.put("/out/a//b", b"1")
    client.put("/out//lead", b"2")
    assert client.keys("out") == ["/lead", "a//b"]
    assert (client.get("/out/a//b").body, client.get("/out//lead").body) == (b"1", b"2")
    assert client.get("/out/a/b").code == client.get("/out/lead").code == "NoSuchKey"


@pytest.mark.parametrize(
    "target", ["/out/a/./b", "/out/a/../b", "/out/..", "/out/../inp/a.txt", "/../inp/a.txt"]
)
def test_trap_17_boto3_sends_dot_segments_and_they_lead_nowhere(job: Job, target: str) -> None:
    before = job.client.snapshot("inp")
    answer = job.client.ask("PUT", target, b"x")
    assert (answer.status, answer.code) == (400, "InvalidArgument")
    assert job.client.snapshot("inp") == before
    assert job.client.keys("out") == []


def test_trap_20_s3a_sees_a_folder_with_and_without_its_marker(job: Job) -> None:
    """S3A 3.4 keeps markers and 3.3 deletes those above each new file."""
    client = job.client
    probe = "/out/?list-type=2&max-keys=2&prefix=t/p/&delimiter=/"
    client.put("/out/t/p/", b"")
    empty = client.get(probe)
    assert (empty.texts("Contents/Key"), empty.texts("CommonPrefixes/Prefix")) == (["t/p/"], [])
    client.put("/out/t/p/part-0", b"1")
    assert client.get(probe).texts("Contents/Key") == ["t/p/", "t/p/part-0"]
    markers = b"<Delete><Object><Key>t/p/</Key></Object><Object><Key>t/</Key></Object></Delete>"
    assert client.ask("POST", "/out/?delete", markers).texts("Deleted/Key") == ["t/p/", "t/"]
    assert client.get(probe).texts("Contents/Key") == ["t/p/part-0"]
    assert client.head("/out/t/p/").status == 404
    parent = client.get("/out/?list-type=2&prefix=t/&delimiter=/")
    assert (parent.texts("Contents/Key"), parent.texts("CommonPrefixes/Prefix")) == ([], ["t/p/"])


def test_trap_21_a_token_outweighs_start_after_and_is_echoed_only_if_sent(job: Job) -> None:
    first = job.client.get("/inp?list-type=2&max-keys=1&start-after=aa")
    assert (first.texts("Contents/Key"), first.texts("StartAfter")) == (["dir/"], ["aa"])
    assert first.texts("ContinuationToken") == []
    token = first.text("NextContinuationToken")
    assert re.fullmatch(r"[\w.~-]+=*", token)
    second = job.client.get(f"/inp?list-type=2&max-keys=1&start-after=zzz&continuation-token={token}")
    assert (second.texts("Contents/Key"), second.text("ContinuationToken")) == (["dir/b.bin"], token)


def test_trap_22_max_keys_of_s3a_pyarrow_and_mountpoint(job: Job) -> None:
    capped = job.client.get("/inp/?list-type=2&max-keys=5000&prefix=&fetch-owner=false")
    assert (capped.text("MaxKeys"), capped.text("KeyCount"), capped.text("IsTruncated")) == (
        "1000",
        "6",
        "false",
    )
    probe = job.client.get("/inp?delimiter=%2F&list-type=2&max-keys=1&prefix=dir%2Fs")
    assert (probe.texts("CommonPrefixes/Prefix"), probe.text("KeyCount")) == (["dir/sub/"], "1")
    none = job.client.get("/inp?list-type=2&max-keys=0")
    assert (none.texts("Contents/Key"), none.text("KeyCount"), none.text("IsTruncated")) == ([], "0", "false")


def test_trap_24_pyarrow_asks_for_a_bucket_that_no_one_has(job: Job) -> None:
    """It learns the region so, and takes 404 for an answer."""
    answer = job.client.head("/%24extremelyunlikelytoexist%24", {"content-type": "application/xml"})
    assert (answer.status, answer.body) == (404, b"")
    assert job.client.get("/%24extremelyunlikelytoexist%24?list-type=2").code == "NoSuchBucket"


# -- objects, conditions, copies -----------------------------------------


def test_trap_25_sdk_v1_sends_tags_without_quotes(job: Job) -> None:
    bare = job.client.head("/inp/a.txt").etag.strip('"')
    assert job.client.get("/inp/a.txt", {"if-match": bare, "range": "bytes=0-4"}).body == b"hello"
    assert job.client.get("/inp/a.txt", {"if-none-match": bare}).status == 304
    assert job.client.get("/inp/a.txt", {"if-match": "0" * 32}).status == 412
    copy = {"x-amz-copy-source": "inp/a.txt", "x-amz-copy-source-if-match": bare}
    assert job.client.ask("PUT", "/out/copy", b"", copy).status == 200
    assert job.client.ask("PUT", "/out/copy", b"", copy | {"x-amz-copy-source-if-match": "0"}).status == 412


def test_trap_27_s3a_copies_the_headers_of_a_head_into_a_copy(own_reads_job: Job) -> None:
    client = own_reads_job.client
    client.put("/out/from", b"rows", {"content-md5": md5_header(b"rows"), "x-amz-meta-a": "1"})
    head = client.head("/out/from")
    assert "content-md5" not in head.headers
    copied = {name: head.headers[name] for name in ("content-type", "last-modified")} | {
        "x-amz-copy-source": "/out/from",
        "content-md5": "AAAAAAAAAAAAAAAAAAAAAA==",
        "x-amz-metadata-directive": "REPLACE",
        "x-amz-meta-b": "2",
    }
    assert client.ask("PUT", "/out/to", b"", copied).status == 200
    answer = client.get("/out/to")
    assert (answer.body, answer.headers["x-amz-meta-b"]) == (b"rows", "2")
    assert "x-amz-meta-a" not in answer.headers


def test_trap_32_complete_answers_with_its_real_status_and_length(job: Job) -> None:
    """No 200 that turns into an error: completing joins lists, and is quick."""
    upload = job.client.create_upload("/out/k")
    etag = job.client.put_part("/out/k", upload, 1, b"1")
    refused = job.client.complete("/out/k", upload, [(1, etag), (2, etag)])
    assert (refused.status, refused.code) == (400, "InvalidPart")
    done = job.client.complete("/out/k", upload, [(1, etag)])
    assert (done.status, int(done.headers["content-length"])) == (200, len(done.body))
    assert done.body.startswith(b"<?xml")


def test_trap_33_no_answer_names_a_version_and_null_is_the_current_one(own_reads_job: Job) -> None:
    client = own_reads_job.client
    answers = [
        client.put("/out/k", b"1"),
        client.head("/out/k"),
        client.get("/out/k?versionId=null"),
        client.put("/out/copy", b"", {"x-amz-copy-source": "out/k?versionId=null"}),
        client.upload("/out/parts", {1: b"1"}),
        client.delete("/out/copy?versionId=null"),
    ]
    assert [answer.status for answer in answers] == [200, 200, 200, 200, 200, 204]
    assert not any(name.startswith("x-amz-version") for answer in answers for name in answer.headers)


def test_trap_34_a_missing_bucket_and_a_missing_key_are_told_apart(job: Job) -> None:
    for target, code in (("/none/k", "NoSuchBucket"), ("/inp/none", "NoSuchKey"), ("/out/none", "NoSuchKey")):
        head = job.client.head(target)
        assert (head.status, head.body) == (404, b"")
        answer = job.client.get(target)
        assert (answer.status, answer.code) == (404, code)
    assert job.client.get("/none?list-type=2").code == "NoSuchBucket"
    assert job.client.get("/inp?list-type=2&prefix=none/").texts("Contents/Key") == []


def test_trap_37_s3a_looks_for_pending_uploads_below_its_destination(job: Job) -> None:
    wanted = job.client.create_upload("/out/sp/directory/pq/part-0")
    job.client.create_upload("/out/other")
    answer = job.client.get(
        "/out/?uploads&prefix=sp%2Fdirectory%2Fpq%2F", {"content-type": "application/octet-stream"}
    )
    assert answer.texts("Upload/Key") == ["sp/directory/pq/part-0"]
    assert answer.texts("Upload/UploadId") == [wanted]


def test_trap_43_the_headers_that_clients_look_for(job: Job) -> None:
    answers = [job.client.head("/inp/a.txt"), job.client.get("/inp/a.txt"), job.client.head("/inp")]
    for answer in answers:
        assert answer.headers["x-amz-request-id"]
        assert answer.headers.get("server") != "AmazonS3"
    for answer in answers[:2]:
        assert answer.headers["accept-ranges"] == "bytes"
        assert parsedate_to_datetime(answer.headers["last-modified"]).year == 2026
    assert answers[2].headers["x-amz-bucket-region"] == "us-east-1"
    assert len({answer.headers["x-amz-request-id"] for answer in answers}) == 3


def test_trap_44_an_answer_to_complete_holds_no_word_that_object_store_retries(job: Job) -> None:
    """It looks for these words in the body of a 200; only a key may bring them in."""
    words = re.compile(rb"InternalError|SlowDown|ServiceUnavailable|<Error")
    assert words.search(job.client.upload("/out/plain", {1: b"1"}).body) is None
    body = job.client.upload("/out/SlowDown", {1: b"1"}).body
    assert len(words.findall(body)) == 2  # in Location and Key


def test_trap_45_the_aws_cli_copies_tags_with_large_objects(job: Job) -> None:
    tags = job.client.get("/inp/a.txt?tagging")
    assert (tags.status, tags.texts("TagSet/Tag")) == (200, [])
    upload = job.client.create_upload("/out/big")
    part = job.client.ask(
        "PUT", f"/out/big?partNumber=1&uploadId={upload}", b"", {"x-amz-copy-source": "inp/tail.bin"}
    )
    assert job.client.complete("/out/big", upload, [(1, part.text("ETag"))]).status == 200
    document = b"<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"
    assert job.client.ask("PUT", "/out/big?tagging", document).status == 200
    assert job.client.get("/out/big?tagging").texts("TagSet/Tag") == []


def test_the_client_of_these_tests_sends_what_it_is_told() -> None:
    head = Client.render_head("PUT", "/out/../x", {"Expect": "100-continue"}, b"")
    assert head.startswith(b"PUT /out/../x HTTP/1.1\r\n")
