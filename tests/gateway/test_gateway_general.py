"""The open gateway: every repo, branch and commit as a bucket."""

from __future__ import annotations

import pytest
from gateway_harness import Client, Clock, commit_files, complete_document, delete_document

from sidegate.pfs.store import Store


def test_a_bucket_name_is_commit_branch_repo(general: Client, store: Store) -> None:
    store.repos.create("labs")
    first = commit_files(store, "labs", {"k": b"one"})
    commit_files(store, "labs", {"k": b"two"})
    commit_files(store, "labs", {"k": b"dev"}, branch="dev")
    for bucket, content in [
        ("labs", b"two"),
        ("master.labs", b"two"),
        ("dev.labs", b"dev"),
        (f"{first.id}.master.labs", b"one"),
    ]:
        assert general.get(f"/{bucket}/k").body == content, bucket


@pytest.mark.parametrize(
    "bucket",
    [
        "nowhere",
        "nobranch.labs",
        "master.nowhere",
        "x.master.labs",
        f"{'0' * 32}.master.labs",
        "a.b.c.labs",
        ".labs",
        "labs.",
        "%24extremelyunlikelytoexist%24",
        "%2e%2e.labs",
    ],
)
def test_what_is_not_there_is_a_clean_404(general: Client, store: Store, bucket: str) -> None:
    store.repos.create("labs")
    assert general.head(f"/{bucket}").status == 404
    assert general.get(f"/{bucket}/k").code == "NoSuchBucket"
    assert general.get(f"/{bucket}").code == "NoSuchBucket"
    assert general.ask("PUT", f"/{bucket}/k", b"x").code == "NoSuchBucket"
    assert general.delete(f"/{bucket}").code == "NoSuchBucket"
    assert [repo.name for repo in store.repos.list()] == ["labs"]


def test_a_commit_is_found_only_through_its_own_repo_and_branch(general: Client, store: Store) -> None:
    for repo in ("labs", "others"):
        store.repos.create(repo)
    commit = commit_files(store, "labs", {"k": b"one"})
    assert general.get(f"/{commit.id}.master.others/k").code == "NoSuchBucket"
    assert general.get(f"/{commit.id}.nobranch.labs/k").code == "NoSuchBucket"


def test_list_buckets_shows_repos_and_their_other_branches(general: Client, store: Store) -> None:
    for repo in ("zoo", "labs"):
        store.repos.create(repo)
    commit_files(store, "labs", {"k": b""}, branch="dev")
    commit_files(store, "labs", {"k": b""})
    assert general.get("/").texts("Buckets/Bucket/Name") == ["dev.labs", "labs", "zoo"]


@pytest.mark.parametrize("name", ["my_labs", "my-labs"])
def test_an_underscore_answers_to_a_hyphen_unless_that_is_taken(
    general: Client, store: Store, name: str
) -> None:
    store.repos.create("my_labs")
    general.put(f"/{name}/k", b"data")
    assert general.keys("my_labs") == ["k"]
    store.repos.create("my-labs")
    assert general.keys("my-labs") == []
    assert general.keys("my_labs") == ["k"]


def test_creating_a_bucket_that_an_alias_answers_for_makes_no_second_repo(
    general: Client, store: Store
) -> None:
    """rclone sends CreateBucket first: its upload would go to an empty twin."""
    store.repos.create("my_labs")
    assert general.ask("PUT", "/my-labs", b"").code == "BucketAlreadyOwnedByYou"
    assert [repo.name for repo in store.repos.list()] == ["my_labs"]


# -- making and removing ------------------------------------------------------


def test_create_bucket_makes_a_repo_or_a_branch(general: Client, store: Store) -> None:
    assert general.put("/labs").headers["location"] == "/labs"
    assert general.put("/dev.labs", b"<CreateBucketConfiguration/>").status == 200
    assert general.head("/labs").status == general.head("/dev.labs").status == 200
    again = general.ask("PUT", "/labs", b"")
    assert (again.status, again.code) == (409, "BucketAlreadyOwnedByYou")
    assert [branch.name for branch in store.branches.list("labs")] == ["dev", "master"]


@pytest.mark.parametrize(
    ("bucket", "body", "code"),
    [
        ("b%20c", b"", "InvalidBucketName"),
        ("%C3%BC", b"", "InvalidBucketName"),
        ("-x", b"", "InvalidBucketName"),
        ("x" * 64, b"", "InvalidBucketName"),
        ("0" * 32, b"", "InvalidBucketName"),
        ("a.b.c", b"", "InvalidBucketName"),
        ("bad%20branch.fresh", b"", "InvalidBucketName"),
        (".fresh", b"", "InvalidBucketName"),
        ("fresh.", b"", "InvalidBucketName"),
        ("fresh", b"<not XML", "MalformedXML"),
        ("a%0d%0ab", b"", "InvalidBucketName"),
    ],
)
def test_a_refused_create_bucket_makes_nothing(
    general: Client, store: Store, bucket: str, body: bytes, code: str
) -> None:
    answer = general.ask("PUT", f"/{bucket}", body)
    assert (answer.status, answer.code) == (400, code)
    assert store.repos.list() == []


def test_delete_bucket_removes_a_repo_that_never_held_a_file(general: Client, store: Store) -> None:
    general.put("/labs")
    general.put("/dev.labs")
    assert general.delete("/dev.labs").status == 204
    assert general.head("/dev.labs").status == 404
    assert general.delete("/labs").status == 204
    assert store.repos.list() == []


def test_delete_bucket_never_deletes_history(labs: Client, store: Store) -> None:
    labs.put("/labs/k", b"data")
    assert labs.delete("/labs").code == "BucketNotEmpty", "open writes"
    store.finish_open("labs", "master")
    assert labs.delete("/labs").code == "BucketNotEmpty", "a finished commit"
    labs.delete("/labs/k")
    store.finish_open("labs", "master")
    assert labs.keys("labs") == []
    refusal = labs.delete("/labs")
    assert (refusal.status, refusal.code) == (409, "BucketNotEmpty"), "an older commit"
    assert "history is never deleted" in refusal.message
    assert len(store.commits.all("labs")) == 2


def test_delete_bucket_of_a_branch_keeps_a_branch_that_shows_files(labs: Client, store: Store) -> None:
    commit = commit_files(store, "labs", {"k": b"data"})
    store.branches.create("labs", "copy", commit.id)
    assert labs.delete("/copy.labs").code == "BucketNotEmpty"
    assert labs.get("/copy.labs/k").body == b"data"


@pytest.mark.parametrize("bucket", ["labs", "dev.labs"])
def test_a_bucket_emptied_before_any_commit_can_be_removed(labs: Client, store: Store, bucket: str) -> None:
    labs.put("/dev.labs")
    labs.put(f"/{bucket}/k", b"data")
    labs.delete(f"/{bucket}/k")
    assert labs.delete(f"/{bucket}").status == 204
    assert labs.head(f"/{bucket}").status == 404


def test_a_commit_started_by_hand_keeps_its_bucket(labs: Client, store: Store) -> None:
    store.stagings.open_commit("labs", "master", held=True)
    assert labs.delete("/labs").code == "BucketNotEmpty"


def test_delete_bucket_refuses_a_commit(labs: Client, store: Store) -> None:
    commit = commit_files(store, "labs", {"k": b"data"})
    assert labs.delete(f"/{commit.id}.master.labs").code == "AccessDenied"


# -- what may be done with each kind ------------------------------------------

WRITES = [
    ("PUT", "/k", b"new", {}),
    ("PUT", "/new", b"", {"x-amz-copy-source": "/labs/k"}),
    ("POST", "/new?uploads", b"", {}),
    ("PUT", "/new?partNumber=1&uploadId=x", b"part", {}),
    ("PUT", "/new?partNumber=1&uploadId=x", b"", {"x-amz-copy-source": "/labs/k"}),
    ("POST", "/new?uploadId=x", complete_document([(1, '"a"')]), {}),
    ("DELETE", "/new?uploadId=x", None, {}),
    ("POST", "?delete", delete_document(["k"]), {}),
    ("DELETE", "/k", None, {}),
    ("DELETE", "", None, {}),
    ("PUT", "/k?acl", b"", {}),
    ("PUT", "?policy", b"", {}),
]


def test_finished_commits_and_pipeline_outputs_are_read_only(labs: Client, store: Store) -> None:
    commit = commit_files(store, "labs", {"k": b"data"})
    store.repos.create("pipe", kind="pipeline")
    commit_files(store, "pipe", {"k": b"result"})
    wrong = []
    for bucket in (f"{commit.id}.master.labs", "pipe", "master.pipe"):
        before = labs.snapshot(bucket)
        for method, rest, body, headers in WRITES:
            answer = labs.ask(method, f"/{bucket}{rest}", body, headers)
            if (answer.status, answer.code) != (403, "AccessDenied"):
                wrong.append(f"{method} {bucket}{rest}: {answer.status} {answer.code}")
        assert labs.snapshot(bucket) == before
        assert labs.get(f"/{bucket}/k").status == 200
        assert labs.get(f"/{bucket}?uploads").texts("Upload/Key") == []
    assert wrong == []
    assert "only its jobs write it" in labs.ask("PUT", "/pipe/k", b"x").message


def test_nobody_makes_a_branch_in_a_pipelines_repo(general: Client, store: Store) -> None:
    store.repos.create("pipe", kind="pipeline")
    assert general.ask("PUT", "/dev.pipe", b"").code == "AccessDenied"
    assert store.branches.list("pipe") == []


# -- open commits -------------------------------------------------------------


def test_open_writes_are_seen_at_once_and_by_every_reader(labs: Client, store: Store, clock: Clock) -> None:
    commit_files(store, "labs", {"kept": b"old", "gone": b"old", "changed": b"old"})
    put = labs.put("/labs/changed", b"new")
    labs.put("/labs/added", b"new")
    labs.delete("/labs/gone")
    assert labs.keys("labs") == ["added", "changed", "kept"]
    assert labs.get("/labs/changed").body == b"new"
    assert labs.head("/labs/changed").etag == put.etag
    assert labs.get("/labs/gone").code == "NoSuchKey"
    assert labs.get("/master.labs/added").body == b"new"


def test_finishing_changes_nothing_that_s3_readers_see(labs: Client, store: Store, clock: Clock) -> None:
    labs.put("/labs/one", b"data")
    labs.upload("/labs/parts", {1: b"x" * (5 << 20), 2: b"y"})
    before = labs.snapshot("labs")
    clock.advance(3600)
    (commit,) = store.finish_open("labs", "master")
    assert labs.snapshot("labs") == before
    assert labs.snapshot(f"{commit.id}.master.labs") == before
    for key, etag, _ in before:
        assert labs.head(f"/labs/{key}").etag == etag


def test_writes_after_finishing_go_to_the_next_commit(labs: Client, store: Store) -> None:
    labs.put("/labs/one", b"1")
    (first,) = store.finish_open("labs", "master")
    labs.put("/labs/two", b"2")
    (second,) = store.finish_open("labs", "master")
    assert second.parent == first.id
    assert labs.keys(f"{first.id}.master.labs") == ["one"]
    assert labs.keys("labs") == ["one", "two"]


def test_writing_what_is_there_already_makes_no_commit(labs: Client, store: Store) -> None:
    labs.put("/labs/one", b"1")
    store.finish_open("labs", "master")
    labs.put("/labs/one", b"1")
    assert store.finish_open("labs", "master") == []


def test_branches_are_written_apart(labs: Client, store: Store) -> None:
    labs.put("/dev.labs")
    labs.put("/dev.labs/k", b"dev")
    assert labs.keys("labs") == []
    labs.put("/labs/k", b"master")
    assert labs.get("/dev.labs/k").body == b"dev"
    upload = labs.create_upload("/dev.labs/u")
    assert labs.get(f"/labs/u?uploadId={upload}").code == "NoSuchUpload"
    assert labs.get("/labs?uploads").texts("Upload/Key") == []


def test_an_upload_survives_the_end_of_the_commit_it_began_in(labs: Client, store: Store) -> None:
    labs.put("/labs/k", b"data")
    upload = labs.create_upload("/labs/u")
    etag = labs.put_part("/labs/u", upload, 1, b"part")
    store.finish_open("labs", "master")
    assert labs.complete("/labs/u", upload, [(1, etag)]).status == 200
    assert labs.get("/labs/u").body == b"part"
