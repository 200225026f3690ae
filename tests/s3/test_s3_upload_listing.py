from __future__ import annotations

import pytest

from sidegate.s3.target import parse_target
from sidegate.s3.upload_listing import UploadEntry, UploadsQuery, collect_uploads, parse_list_uploads

UPLOADS = [
    UploadEntry(key, upload_id, 0)
    for key, upload_id in (("b", "1"), ("a/x", "2"), ("a/y", "1"), ("a/x", "1"), ("c/z", "1"), ("b", "2"))
]


def found(query: UploadsQuery) -> list[str]:
    page = collect_uploads(query, UPLOADS)
    return [f"{upload.key}:{upload.upload_id}" for upload in page.uploads] + list(page.common_prefixes)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (UploadsQuery(), ["a/x:1", "a/x:2", "a/y:1", "b:1", "b:2", "c/z:1"]),
        (UploadsQuery(prefix="a/"), ["a/x:1", "a/x:2", "a/y:1"]),
        (UploadsQuery(prefix="nothing"), []),
        (UploadsQuery(delimiter="/"), ["b:1", "b:2", "a/", "c/"]),
        (UploadsQuery(prefix="a/", delimiter="/"), ["a/x:1", "a/x:2", "a/y:1"]),
        (UploadsQuery(key_marker="a/x"), ["a/y:1", "b:1", "b:2", "c/z:1"]),
        (UploadsQuery(key_marker="a/x", upload_id_marker="1"), ["a/x:2", "a/y:1", "b:1", "b:2", "c/z:1"]),
        (UploadsQuery(key_marker="a/x", delimiter="/"), ["b:1", "b:2", "c/"]),
        (UploadsQuery(max_uploads=0), []),
    ],
)
def test_trap_37_prefix_and_markers_are_honoured(query: UploadsQuery, expected: list[str]) -> None:
    assert found(query) == expected


@pytest.mark.parametrize("delimiter", ["", "/"])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_pages_join_to_the_whole(size: int, delimiter: str) -> None:
    names: list[str] = []
    query = UploadsQuery(delimiter=delimiter, max_uploads=size)
    while True:
        page = collect_uploads(query, UPLOADS)
        names += [f"{upload.key}:{upload.upload_id}" for upload in page.uploads] + list(page.common_prefixes)
        if not page.is_truncated:
            break
        query = UploadsQuery(
            delimiter=delimiter,
            max_uploads=size,
            key_marker=page.next_key_marker,
            upload_id_marker=page.next_upload_id_marker,
        )
    assert sorted(names) == sorted(found(UploadsQuery(delimiter=delimiter)))


def test_parameters() -> None:
    raw = (
        b"/b?uploads&prefix=p&delimiter=/&max-uploads=5000&key-marker=k&upload-id-marker=u&encoding-type=url"
    )
    assert parse_list_uploads(parse_target(raw, None)) == UploadsQuery("p", "/", 1000, "k", "u", True)
    alone = parse_target(b"/b?uploads&upload-id-marker=u", None)
    assert parse_list_uploads(alone) == UploadsQuery()
