"""Every XML answer, read back by a parser that knows nothing of ours."""

from __future__ import annotations

from array import array
from itertools import accumulate
from urllib.parse import unquote, unquote_plus
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest

from sidegate.native.columns import Columns
from sidegate.s3.attributes import parse_attributes, render_attributes
from sidegate.s3.errors import S3Error
from sidegate.s3.escaping import encode_url, escape_text
from sidegate.s3.headers import Headers
from sidegate.s3.listing import ListQuery, Page, encode_token
from sidegate.s3.listing_pages import render_buckets, render_objects, render_parts, render_uploads
from sidegate.s3.multipart import ListPartsRequest, StoredPart
from sidegate.s3.objects import ObjectDescription
from sidegate.s3.operations import Operation
from sidegate.s3.responses import (
    render_complete_upload,
    render_copy_object,
    render_copy_part,
    render_create_upload,
    render_delete,
    render_location,
)
from sidegate.s3.subresources import answer_subresource, is_subresource
from sidegate.s3.target import parse_target
from sidegate.s3.upload_listing import UploadEntry, UploadsPage, UploadsQuery

NS = "{http://s3.amazonaws.com/doc/2006-03-01/}"
MODIFIED_US = 784_111_777_042_000
ODD = "a b+c%d/ü&<'\">\r\n~"


def parse(document: bytes) -> Element:
    return ElementTree.fromstring(document)


def text(root: Element, path: str) -> str | None:
    return root.findtext("/".join(NS + name for name in path.split("/")))


def texts(root: Element, path: str) -> list[str | None]:
    return [found.text for found in root.findall("/".join(NS + name for name in path.split("/")))]


def test_buckets() -> None:
    root = parse(render_buckets([("inp", MODIFIED_US), ("out", 0)]))
    assert root.tag == NS + "ListAllMyBucketsResult"
    assert texts(root, "Buckets/Bucket/Name") == ["inp", "out"]
    assert text(root, "Buckets/Bucket/CreationDate") == "1994-11-06T08:49:37.042Z"


def page(*keys: str, prefixes: tuple[str, ...] = (), truncated: bool = False) -> Page:
    names, groups = [key.encode() for key in keys], tuple(prefix.encode() for prefix in prefixes)
    count = len(names)
    columns = Columns(
        b"".join(names),
        memoryview(array("I", accumulate(map(len, names)))),
        b"tag-1" * count,
        memoryview(array("I", range(5, 5 * count + 1, 5))),
        memoryview(array("q", [5] * count)),
        memoryview(array("q", [MODIFIED_US] * count)),
    )
    return Page(columns, groups, truncated, (*names, *groups)[-1])


def test_version_2_listing() -> None:
    query = ListQuery(2, "p", "/", 2, "s", fetch_owner=False, start_after="s")
    root = parse(render_objects("b", query, page("k", prefixes=("p/",), truncated=True)))
    simple = {
        "Name": "b",
        "Prefix": "p",
        "Delimiter": "/",
        "MaxKeys": "2",
        "KeyCount": "2",
        "StartAfter": "s",
    }
    for name, value in simple.items():
        assert text(root, name) == value
    assert text(root, "IsTruncated") == "true"
    assert text(root, "NextContinuationToken") == encode_token(b"p/")
    assert text(root, "ContinuationToken") is None
    assert text(root, "Contents/ETag") == '"tag-1"'
    assert text(root, "Contents/Size") == "5"
    assert text(root, "Contents/LastModified") == "1994-11-06T08:49:37.042Z"
    assert text(root, "Contents/Owner/ID") is None
    assert text(root, "CommonPrefixes/Prefix") == "p/"


def test_trap_21_a_token_is_echoed_only_if_it_was_sent() -> None:
    sent = parse(render_objects("b", ListQuery(2, token="tok"), page("k")))
    assert text(sent, "ContinuationToken") == "tok"
    assert text(sent, "NextContinuationToken") is None
    assert text(sent, "StartAfter") is None


def test_trap_23_version_1_has_a_next_marker_only_with_a_delimiter() -> None:
    query = ListQuery(1, delimiter="/", marker="m", fetch_owner=True)
    with_delimiter = parse(render_objects("b", query, page("k", truncated=True)))
    assert text(with_delimiter, "NextMarker") == "k"
    assert text(with_delimiter, "Marker") == "m"
    assert text(with_delimiter, "KeyCount") is None
    assert text(with_delimiter, "Contents/Owner/ID")
    without = parse(render_objects("b", ListQuery(1), page("k", truncated=True)))
    assert text(without, "NextMarker") is None


def test_trap_15_url_encoding_covers_every_name_and_no_token() -> None:
    query = ListQuery(2, ODD, ODD, encode_url=True, start_after=ODD, token="a+b")
    root = parse(render_objects("b", query, page(ODD, prefixes=(ODD,), truncated=True)))
    assert text(root, "EncodingType") == "url"
    for path in ("Prefix", "Delimiter", "StartAfter", "Contents/Key", "CommonPrefixes/Prefix"):
        encoded = text(root, path)
        assert encoded is not None
        assert " " not in encoded
        assert "+" not in encoded
        assert unquote(encoded) == unquote_plus(encoded) == ODD
    assert text(root, "ContinuationToken") == "a+b"
    first = ListQuery(1, delimiter="/", marker=ODD, encode_url=True)
    root = parse(render_objects("b", first, page(ODD, truncated=True)))
    assert text(root, "Marker") == text(root, "NextMarker") == encode_url(ODD)


def test_trap_15_without_encoding_names_are_xml_text() -> None:
    root = parse(render_objects("b", ListQuery(2, ODD), page(ODD, prefixes=(ODD,))))
    assert text(root, "EncodingType") is None
    for path in ("Prefix", "Contents/Key", "CommonPrefixes/Prefix"):
        assert text(root, path) == ODD


def test_encode_url() -> None:
    assert encode_url("a b+c/ü~") == "a%20b%2Bc/%C3%BC~"
    assert escape_text("plain/key") == "plain/key"


def test_uploads() -> None:
    uploads = UploadsPage((UploadEntry("k&", "u", MODIFIED_US),), ("p/",), True, "p/", "")
    root = parse(render_uploads("b", UploadsQuery(delimiter="/"), uploads))
    assert text(root, "Upload/Key") == "k&"
    assert text(root, "Upload/UploadId") == "u"
    assert text(root, "Upload/Initiated") == "1994-11-06T08:49:37.042Z"
    assert text(root, "NextKeyMarker") == "p/"
    assert text(root, "CommonPrefixes/Prefix") == "p/"
    assert text(root, "IsTruncated") == "true"


def test_parts() -> None:
    parts = [StoredPart(n, f"t{n}", n, MODIFIED_US, (("crc32", "AAAAAA=="),)) for n in (1, 2, 5)]
    root = parse(render_parts("b", "k", ListPartsRequest("u", 1, 1), parts, "crc32", "COMPOSITE"))
    assert texts(root, "Part/PartNumber") == ["2"]
    assert text(root, "Part/ChecksumCRC32") == "AAAAAA=="
    assert text(root, "NextPartNumberMarker") == "2"
    assert text(root, "IsTruncated") == "true"
    assert (text(root, "ChecksumAlgorithm"), text(root, "ChecksumType")) == ("CRC32", "COMPOSITE")
    last = parse(render_parts("b", "k", ListPartsRequest("u", 2, 10), parts))
    assert (texts(last, "Part/PartNumber"), text(last, "IsTruncated")) == (["5"], "false")


def test_results() -> None:
    created = parse(render_create_upload("b", ODD, "u"))
    assert (text(created, "Bucket"), text(created, "Key"), text(created, "UploadId")) == ("b", ODD, "u")
    completed = parse(render_complete_upload("http://gw/b/k", "b", "k", "t-2", [("crc32", "AAAAAA==-2")]))
    assert (text(completed, "Location"), text(completed, "ETag")) == ("http://gw/b/k", '"t-2"')
    assert (text(completed, "ChecksumCRC32"), text(completed, "ChecksumType")) == ("AAAAAA==-2", "COMPOSITE")
    copied = parse(render_copy_object("t-1", MODIFIED_US, [("sha1", "x")]))
    assert (text(copied, "ETag"), text(copied, "ChecksumType")) == ('"t-1"', "FULL_OBJECT")
    assert text(copied, "LastModified") == "1994-11-06T08:49:37.042Z"
    part = parse(render_copy_part("t-1", MODIFIED_US))
    assert (part.tag, text(part, "ETag")) == (NS + "CopyPartResult", '"t-1"')
    assert parse(render_location("us-east-1")).text is None
    assert parse(render_location("eu-west-1")).text == "eu-west-1"


def test_delete() -> None:
    refused = [("bad\x00", S3Error("AccessDenied"))]
    root = parse(render_delete([ODD], refused, quiet=False))
    assert text(root, "Deleted/Key") == ODD
    assert (text(root, "Error/Key"), text(root, "Error/Code")) == ("bad\ufffd", "AccessDenied")
    quiet = parse(render_delete([ODD], refused, quiet=True))
    assert text(quiet, "Deleted/Key") is None
    assert text(quiet, "Error/Code") == "AccessDenied"


def attributes(names: bytes, **more: bytes) -> Element:
    items = [(name.replace("_", "-").encode(), value) for name, value in more.items()]
    headers = Headers([(b"x-amz-object-attributes", names), *items])
    description = ObjectDescription(10, "t-2", 0, checksums=(("crc32", "AAAAAA=="),), part_sizes_bytes=(4, 6))
    return parse(
        render_attributes(parse_attributes(parse_target(b"/b/k?attributes", None), headers), description)
    )


def test_attributes() -> None:
    root = attributes(b"ETag,Checksum, ObjectParts,StorageClass,ObjectSize")
    assert text(root, "ETag") == "t-2"
    assert text(root, "Checksum/ChecksumCRC32") == "AAAAAA=="
    assert text(root, "Checksum/ChecksumType") == "FULL_OBJECT"
    assert text(root, "ObjectParts/PartsCount") == "2"
    assert texts(root, "ObjectParts/Part/Size") == ["4", "6"]
    assert text(root, "ObjectSize") == "10"
    only = attributes(b"ObjectSize")
    assert [child.tag for child in only] == [NS + "ObjectSize"]


def test_attributes_page_through_parts() -> None:
    root = attributes(b"ObjectParts", x_amz_max_parts=b"1")
    assert (texts(root, "ObjectParts/Part/PartNumber"), text(root, "ObjectParts/IsTruncated")) == (
        ["1"],
        "true",
    )
    root = attributes(b"ObjectParts", x_amz_part_number_marker=b"1")
    assert (texts(root, "ObjectParts/Part/PartNumber"), text(root, "ObjectParts/IsTruncated")) == (
        ["2"],
        "false",
    )


@pytest.mark.parametrize("names", [b"", b"Nonsense", b"ETag,Nonsense"])
def test_bad_attributes(names: bytes) -> None:
    with pytest.raises(S3Error) as caught:
        attributes(names)
    assert caught.value.code == "InvalidArgument"


@pytest.mark.parametrize(
    ("operation", "code", "status"),
    [
        (Operation.GET_BUCKET_POLICY, "NoSuchBucketPolicy", 404),
        (Operation.GET_BUCKET_CORS, "NoSuchCORSConfiguration", 404),
        (Operation.GET_BUCKET_LIFECYCLE, "NoSuchLifecycleConfiguration", 404),
        (Operation.GET_BUCKET_ENCRYPTION, "ServerSideEncryptionConfigurationNotFoundError", 404),
        (Operation.GET_OBJECT_LOCK, "ObjectLockConfigurationNotFoundError", 404),
        (Operation.GET_BUCKET_TAGGING, "NoSuchTagSet", 404),
        (Operation.PUT_BUCKET_CONFIGURATION, "AccessDenied", 403),
    ],
)
def test_subresources_that_are_not_there(operation: Operation, code: str, status: int) -> None:
    assert is_subresource(operation)
    with pytest.raises(S3Error) as caught:
        answer_subresource(operation)
    assert (caught.value.code, caught.value.status) == (code, status)


def test_subresources_that_are() -> None:
    status, document = answer_subresource(Operation.GET_BUCKET_VERSIONING)
    assert (status, len(parse(document))) == (200, 0)
    _, acl = answer_subresource(Operation.GET_OBJECT_ACL)
    assert text(parse(acl), "AccessControlList/Grant/Permission") == "FULL_CONTROL"


def test_trap_45_an_object_has_an_empty_tag_set() -> None:
    _, document = answer_subresource(Operation.GET_OBJECT_TAGGING)
    tag_set = parse(document).find(NS + "TagSet")
    assert tag_set is not None
    assert len(tag_set) == 0
    assert answer_subresource(Operation.PUT_OBJECT_TAGGING) == (200, b"")


def test_objects_themselves_are_no_subresources() -> None:
    assert not is_subresource(Operation.GET_OBJECT)
    assert not is_subresource(Operation.LIST_OBJECTS_V2)
