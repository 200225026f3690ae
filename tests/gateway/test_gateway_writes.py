"""PUT, copy and delete: conditions, races, metadata, what is shared and what is not."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from gateway_harness import Client, Clock, Job, delete_document, md5_header, noise

from sidegate.pfs.store import Store


def test_put_answers_with_the_etag_that_head_has(labs: Client) -> None:
    put = labs.put("/labs/k", b"data", {"content-md5": md5_header(b"data")})
    assert put.body == b""
    assert put.etag == labs.head("/labs/k").etag


def test_equal_bytes_have_equal_etags_and_others_have_not(labs: Client) -> None:
    first = labs.put("/labs/a", b"data").etag
    assert labs.put("/labs/b", b"data", {"content-type": "text/x"}).etag == first
    assert labs.put("/labs/c", b"DATA").etag != first
    assert labs.put("/labs/a", b"data").etag == first


def test_the_last_put_wins_and_moves_the_time(labs: Client, clock: Clock) -> None:
    labs.put("/labs/k", b"one", {"x-amz-meta-a": "1"})
    before = labs.head("/labs/k").headers["last-modified"]
    clock.advance(5)
    labs.put("/labs/k", b"two")
    head = labs.head("/labs/k")
    assert head.headers["last-modified"] != before
    assert "x-amz-meta-a" not in head.headers
    assert labs.get("/labs/k").body == b"two"


def test_put_conditions(labs: Client) -> None:
    """Trap 36."""
    etag = labs.put("/labs/k", b"one", {"if-none-match": "*"}).etag
    for headers, status in [
        ({"if-none-match": "*"}, 412),
        ({"if-none-match": etag}, 412),
        ({"if-match": '"x"'}, 412),
    ]:
        answer = labs.ask("PUT", "/labs/k", b"two", headers)
        assert (answer.status, answer.code) == (status, "PreconditionFailed"), headers
    assert labs.get("/labs/k").body == b"one"
    assert labs.put("/labs/k", b"two", {"if-match": etag.strip('"')}).status == 200
    assert labs.ask("PUT", "/labs/k", b"three", {"if-match": etag}).status == 412
    assert labs.get("/labs/k").body == b"two"
    assert labs.ask("PUT", "/labs/absent", b"x", {"if-match": etag}).code == "NoSuchKey"


def test_conditions_see_through_open_and_finished_commits(labs: Client, store: Store) -> None:
    labs.put("/labs/k", b"one")
    store.finish_open("labs", "master")
    assert labs.ask("PUT", "/labs/k", b"two", {"if-none-match": "*"}).status == 412
    labs.delete("/labs/k")
    assert labs.put("/labs/k", b"two", {"if-none-match": "*"}).status == 200


@pytest.mark.parametrize("size", [10, 2_500_000])
@pytest.mark.parametrize("namespace", ["out", "labs"])
def test_of_many_conditional_puts_at_once_exactly_one_wins(
    request: pytest.FixtureRequest, namespace: str, size: int
) -> None:
    """Trap 36: without it delta-rs loses commits."""
    first: Client = (
        request.getfixturevalue("own_reads_job").client
        if namespace == "out"
        else request.getfixturevalue("labs")
    )

    def put(number: int) -> int:
        client = first.another()
        body = bytes([number]) * size
        status = client.ask("PUT", f"/{namespace}/k", body, {"if-none-match": "*"}).status
        client.close()
        return status

    with ThreadPoolExecutor(6) as threads:
        statuses = list(threads.map(put, range(6)))
    assert sorted(statuses) == [200] + [412] * 5
    assert first.get(f"/{namespace}/k").body == bytes([statuses.index(200)]) * size


def test_many_puts_at_once_are_all_kept(labs: Client) -> None:
    def put(number: int) -> None:
        client = labs.another()
        for index in range(20):
            client.put(f"/labs/{number}/{index:02}", f"{number} {index}".encode())
        client.close()

    with ThreadPoolExecutor(5) as threads:
        list(threads.map(put, range(5)))
    assert labs.keys("labs") == [f"{number}/{index:02}" for number in range(5) for index in range(20)]
    assert labs.get("/labs/3/07").body == b"3 7"


# -- copies ---------------------------------------------------------------------


def test_a_copy_has_bytes_tag_and_metadata_of_its_source(labs: Client, clock: Clock) -> None:
    content = noise(50_000)
    put = labs.put("/labs/k", content, {"content-type": "text/x", "x-amz-meta-a": "1"})
    clock.advance(60)
    copied = labs.ask("PUT", "/labs/copy", b"", {"x-amz-copy-source": "/labs/k"})
    assert copied.text("ETag") == put.etag
    head = labs.head("/labs/copy")
    assert copied.text("LastModified")[:19] != labs.snapshot("labs")[1][2][:19]
    assert (head.etag, head.headers["content-type"], head.headers["x-amz-meta-a"]) == (
        put.etag,
        "text/x",
        "1",
    )
    assert labs.get("/labs/copy").body == content


@pytest.mark.parametrize(
    "source",
    [
        "/labs/d/k%20%C3%A9%2B",
        "labs/d/k%20%C3%A9%2B",
        "/labs/d/k%20%C3%A9%2B?versionId=null",
        "labs%2Fd%2Fk%20%C3%A9%2B",
    ],
)
def test_copy_sources_come_in_many_spellings(labs: Client, source: str) -> None:
    """Trap 26: with and without a leading slash; `+` is a plus."""
    labs.put("/labs/d/k%20%C3%A9+", b"data")
    assert labs.ask("PUT", "/labs/copy", b"", {"x-amz-copy-source": source}).status == 200
    assert labs.get("/labs/copy").body == b"data"


def test_replace_takes_the_requests_metadata_and_keeps_the_rest(labs: Client) -> None:
    """Trap 27: Hadoop sends the source's Last-Modified and Content-MD5 along."""
    labs.upload("/labs/k", {1: b"a" * (5 << 20), 2: b"b"})
    headers = {
        "x-amz-copy-source": "/labs/k",
        "x-amz-metadata-directive": "REPLACE",
        "content-type": "text/new",
        "x-amz-meta-b": "2",
        "content-md5": md5_header(b"anything"),
        "last-modified": "Wed, 21 Oct 2015 07:28:00 GMT",
    }
    for target in ("/labs/copy", "/labs/k"):
        assert labs.ask("PUT", target, b"", headers).status == 200
        head = labs.head(target)
        assert head.headers["content-type"] == "text/new"
        assert head.headers["x-amz-meta-b"] == "2"
        assert head.etag.endswith('-2"')
        assert labs.head(f"{target}?partNumber=2").headers["content-length"] == "1"


def test_a_copy_onto_itself_must_change_something(labs: Client) -> None:
    labs.put("/labs/k", b"data")
    assert labs.ask("PUT", "/labs/k", b"", {"x-amz-copy-source": "/labs/k"}).code == "InvalidRequest"


def test_copy_conditions(labs: Client) -> None:
    """Trap 25: copy-source-if-match comes without quotes too."""
    etag = labs.put("/labs/k", b"data").etag
    modified = labs.head("/labs/k").headers["last-modified"]
    past = "Wed, 21 Oct 2015 07:28:00 GMT"
    for name, value, status in [
        ("if-match", etag, 200),
        ("if-match", etag.strip('"'), 200),
        ("if-match", "x", 412),
        ("if-none-match", etag, 412),
        ("if-none-match", "x", 200),
        ("if-modified-since", past, 200),
        ("if-modified-since", modified, 412),
        ("if-unmodified-since", past, 412),
    ]:
        headers = {"x-amz-copy-source": "/labs/k", f"x-amz-copy-source-{name}": value}
        answer = labs.ask("PUT", "/labs/copy", b"", headers)
        assert answer.status == status, (name, value)
        assert (labs.head("/labs/copy").status == 200) == (status == 200)
        labs.delete("/labs/copy")
    labs.put("/labs/there", b"x")
    headers = {"x-amz-copy-source": "/labs/k", "if-none-match": "*"}
    assert labs.ask("PUT", "/labs/there", b"", headers).code == "PreconditionFailed"
    assert labs.get("/labs/there").body == b"x"


def test_copies_between_branches_and_from_commits(labs: Client, store: Store) -> None:
    labs.put("/labs/k", b"old")
    (commit,) = store.finish_open("labs", "master")
    labs.put("/labs/k", b"new")
    labs.put("/dev.labs")
    for source, content in [("labs", b"new"), (f"{commit.id}.master.labs", b"old")]:
        assert labs.ask("PUT", "/dev.labs/k", b"", {"x-amz-copy-source": f"{source}/k"}).status == 200
        assert labs.get("/dev.labs/k").body == content


def test_an_input_is_copied_to_out_by_reference(own_reads_job: Job) -> None:
    client = own_reads_job.client
    for key in ("a.txt", "dir/sub/c.csv", "tail.bin", "empty"):
        assert client.ask("PUT", f"/out/{key}", b"", {"x-amz-copy-source": f"/inp/{key}"}).status == 200
        source, copy = client.get(f"/inp/{key}"), client.get(f"/out/{key}")
        assert (copy.body, copy.etag) == (source.body, source.etag)


def test_rename_as_spark_does_it(job: Job) -> None:
    """Copy with REPLACE and an unquoted condition, bulk delete, parent marker."""
    job.client.put("/out/d/_temporary/0/t/part-0", b"rows", {"x-amz-meta-a": "1"})
    etag = job.client.head("/out/d/_temporary/0/t/part-0").etag
    headers = {
        "x-amz-copy-source": "/out/d/_temporary/0/t/part-0",
        "x-amz-copy-source-if-match": etag.strip('"'),
        "x-amz-metadata-directive": "REPLACE",
        "x-amz-meta-a": "1",
    }
    assert job.client.ask("PUT", "/out/d/part-0", b"", headers).status == 200
    document = delete_document(["d/_temporary/0/t/part-0", "d/_temporary/0/", "d/_temporary/"], quiet=True)
    deleted = job.client.ask("POST", "/out/?delete", document, {"content-md5": md5_header(document)})
    assert deleted.texts("*") == []
    assert job.client.keys("out") == ["d/part-0"]
    assert job.client.head("/out/d/part-0").etag == etag
    assert b"".join(job.store.read(job.staging.get("d/part-0"))) == b"rows"  # type: ignore[arg-type]


# -- deletes --------------------------------------------------------------------


def test_delete_objects_says_what_it_deleted_unless_quiet(labs: Client) -> None:
    for key in ("a", "b", "c"):
        labs.put(f"/labs/{key}")
    loud = labs.ask("POST", "/labs?delete", delete_document(["a", "absent"]))
    assert loud.texts("Deleted/Key") == ["a", "absent"]
    quiet = labs.ask("POST", "/labs?delete", delete_document(["b", "absent"], quiet=True))
    assert (quiet.status, quiet.texts("*")) == (200, [])
    assert labs.keys("labs") == ["c"]


def test_deleting_what_is_absent_opens_no_commit(labs: Client, store: Store) -> None:
    assert labs.delete("/labs/absent").status == 204
    labs.ask("POST", "/labs?delete", delete_document(["absent"]))
    assert store.stagings.find_open("labs", "master") is None


def test_delete_document_variants(labs: Client) -> None:
    """Trap 30."""
    for document in [
        b"<?xml version='1.0' encoding='UTF-8'?>\n<Delete xmlns='http://s3.amazonaws.com/doc/2006-03-01/'>"
        b" <Object> <Key>k</Key> <VersionId>null</VersionId> </Object> <Quiet>true</Quiet> </Delete>",
        b"<Delete><Object><Key>&#107;</Key><Other>x</Other></Object></Delete>",
    ]:
        labs.put("/labs/k")
        assert labs.ask("POST", "/labs?delete", document).status == 200
        assert labs.keys("labs") == []


def test_a_delete_that_expects_another_object_deletes_nothing(labs: Client) -> None:
    """conditional-deletes.html; an absent key is 404 there, whatever the condition."""
    old = labs.put("/labs/k", b"one").etag
    new = labs.put("/labs/k", b"two").etag
    for key, headers, status, code in [
        ("k", {"if-match": old}, 412, "PreconditionFailed"),
        ("k", {"if-match": '"x", "y"'}, 412, "PreconditionFailed"),
        ("k", {"if-none-match": "*"}, 412, "PreconditionFailed"),
        ("absent", {"if-match": "*"}, 404, "NoSuchKey"),
        ("absent", {"if-match": old}, 404, "NoSuchKey"),
        ("k", {"x-amz-if-match-size": "3"}, 501, "NotImplemented"),
        ("k", {"x-amz-if-match-last-modified-time": "x"}, 501, "NotImplemented"),
    ]:
        answer = labs.ask("DELETE", f"/labs/{key}", b"", headers)
        assert (answer.status, answer.code) == (status, code), headers
    assert labs.get("/labs/k").body == b"two"
    assert labs.ask("DELETE", "/labs/k", b"", {"if-match": new.strip('"')}).status == 204
    labs.put("/labs/k")
    assert labs.ask("DELETE", "/labs/k", b"", {"if-match": "*"}).status == 204
    assert labs.keys("labs") == []


@pytest.mark.parametrize("quiet", [False, True])
def test_several_deletes_are_judged_each_by_its_condition(labs: Client, quiet: bool) -> None:
    tags = {key: labs.put(f"/labs/{key}", key.encode()).etag for key in ("a", "b", "c", "d")}
    items = "".join(
        f"<Object><Key>{key}</Key>{condition}</Object>"
        for key, condition in [
            ("a", f"<ETag>{tags['a'].strip(chr(34))}</ETag>"),
            ("b", f"<ETag>{tags['a'].replace(chr(34), '&quot;')}</ETag>"),
            ("absent", "<ETag>*</ETag>"),
            ("c", "<Size>1</Size>"),
            ("d", ""),
            ("gone", ""),
        ]
    )
    document = f"<Delete><Quiet>{str(quiet).lower()}</Quiet>{items}</Delete>".encode()
    answer = labs.ask("POST", "/labs?delete", document)
    assert answer.status == 200
    assert answer.texts("Deleted/Key") == ([] if quiet else ["a", "d", "gone"])
    assert dict(zip(answer.texts("Error/Key"), answer.texts("Error/Code"), strict=True)) == {
        "b": "PreconditionFailed",
        "absent": "NoSuchKey",
        "c": "NotImplemented",
    }
    assert labs.keys("labs") == ["b", "c"]


def test_a_job_deletes_from_out_on_a_condition(job: Job) -> None:
    tag = job.client.put("/out/k", b"one").etag
    job.client.put("/out/k", b"two")
    assert job.client.ask("DELETE", "/out/k", b"", {"if-match": tag}).status == 412
    assert job.client.keys("out") == ["k"]


def test_a_bad_delete_document_deletes_nothing(labs: Client) -> None:
    labs.put("/labs/k")
    many = delete_document(f"{number}" for number in range(1001))
    entity = b'<!DOCTYPE x [<!ENTITY e "k">]><Delete><Object><Key>&e;</Key></Object></Delete>'
    for body, headers, code in [
        (b"", {}, "MalformedXML"),
        (b"<Delete>", {}, "MalformedXML"),
        (b"<Delete></Delete>", {}, "MalformedXML"),
        (b"<Other><Object><Key>k</Key></Object></Other>", {}, "MalformedXML"),
        (b"<Delete><Object><Key>k</Key></Object><Object/></Delete>", {}, "MalformedXML"),
        (many, {}, "MalformedXML"),
        (entity, {}, "MalformedXML"),
        (delete_document(["k"]), {"content-md5": md5_header(b"x")}, "BadDigest"),
        (delete_document(["k"]), {"x-amz-checksum-crc32": "AAAAAA=="}, "BadDigest"),
        (b"x" * ((8 << 20) + 1), {}, "MaxMessageLengthExceeded"),
    ]:
        answer = labs.ask("POST", "/labs?delete", body, headers)
        assert (answer.status, answer.code) == (400, code), body[:60]
    assert labs.keys("labs") == ["k"]
