from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidegate.s3.documents import (
    MAX_DOCUMENT_BYTES,
    CompletedPart,
    check_document,
    parse_complete,
    parse_delete,
)
from sidegate.s3.errors import S3Error

NS = b' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


def complete(*parts: bytes, ns: bytes = NS) -> bytes:
    return b"<CompleteMultipartUpload%b>%b</CompleteMultipartUpload>" % (ns, b"".join(parts))


def part(number: int, tag: bytes = b"a") -> bytes:
    return b"<Part><ETag>%b</ETag><PartNumber>%d</PartNumber></Part>" % (tag, number)


@pytest.mark.parametrize(
    "document",
    [
        # boto3, aws v2
        complete(b'<Part><ETag>"a"</ETag><PartNumber>1</PartNumber></Part>'),
        # s3cmd: no namespace, bare tag
        complete(b"<Part><PartNumber>1</PartNumber><ETag>a</ETag></Part>", ns=b""),
        # s5cmd
        complete(b"<Part><ETag>&#34;a&#34;</ETag><PartNumber>1</PartNumber></Part>"),
        complete(b"<Part><ETag>&quot;a&quot;</ETag><PartNumber>1</PartNumber></Part>"),
        # pyarrow: declaration and white space
        b'<?xml version="1.0"?>\n'
        + complete(b'\n <Part>\n <ETag>"a"</ETag> <PartNumber> 1 </PartNumber>\n </Part> '),
        # what we do not know
        complete(b"<Part><Odd>1</Odd><ETag>a</ETag><PartNumber>1</PartNumber></Part><More/>"),
        complete(
            b"<Part><ETag>a</ETag><PartNumber>1</PartNumber><ChecksumXXHASH3>x</ChecksumXXHASH3></Part>"
        ),
    ],
)
def test_trap_30_every_spelling_of_complete(document: bytes) -> None:
    assert parse_complete(document).parts() == (CompletedPart(1, "a"),)
    assert parse_complete(document).names == b"1:a"


quotes = st.sampled_from([b"", b'"', b"&quot;", b"&#34;"])
digests = st.sampled_from([b"", b"AAAAAA==", b"nncfDyakSDc=", b"a+/0", b"A-1"])
names = st.sampled_from([b"CRC32", b"CRC64NVME", b"SHA256", b"XXHASH3"])
spaces = st.sampled_from([b"", b"", b"", b"\n", b" \t\r\n"])
oddities = st.sampled_from([b""] * 20 + [b"<Odd/>", b"<!-- -->", b"<ETag>b</ETag>", b"x"])


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    """A document as SDKs write it, or nearly."""
    numbers = draw(st.lists(st.integers(0, 10_002), max_size=6, unique=True).map(sorted))
    if draw(st.integers(0, 5)) == 0:
        numbers = numbers[::-1]
    name, space, with_checksums = draw(names), draw(spaces), draw(st.booleans())
    parts = []
    for number in numbers:
        tag = draw(st.sampled_from([b"a", b"%032x-1" % number, b"", b"a,b", b"a b"]))
        elements = [
            b"<ETag>%b%b%b</ETag>" % (draw(quotes), tag, draw(quotes)),
            b"<PartNumber>%d</PartNumber>" % number,
            draw(oddities),
        ]
        if with_checksums:
            other = draw(st.sampled_from([name] * 9 + [b"SHA1"]))
            elements.append(b"<Checksum%b>%b</Checksum%b>" % (other, draw(digests), other))
        parts.append(b"<Part>%b</Part>" % (space + space.join(draw(st.permutations(elements))) + space))
    start = draw(
        st.sampled_from([b"", b'<?xml version="1.0" encoding="UTF-8"?>\n', b'<?xml version="1.0"?>', b"x"])
    )
    return start + complete(space + space.join(parts), ns=draw(st.sampled_from([NS, b"", b" a='b'"]))) + space


@settings(max_examples=500)
@given(documents())
def test_the_usual_form_is_read_as_any_other(document: bytes) -> None:
    # A comment at its end is enough to take the other way.
    assert said(document) == said(document + b"<!-- -->")


def said(document: bytes) -> object:
    try:
        found = parse_complete(document)
    except S3Error as error:
        return error.code, error.message
    return found.names, found.parts()


def test_the_usual_form_is_taken_apart_only_when_asked() -> None:
    for document in (complete(part(1), part(2)), complete(b"\n", part(1), b"\n")):
        assert parse_complete(document).listed is None
    assert parse_complete(complete(part(1)) + b"<!-- -->").listed is not None


@pytest.mark.parametrize("number", [b"0", b"10001", b"99999"])
def test_the_usual_form_with_an_impossible_number_is_refused(number: bytes) -> None:
    document = complete(b"<Part><ETag>a</ETag><PartNumber>%b</PartNumber></Part>" % number)
    with pytest.raises(S3Error) as caught:
        parse_complete(document)
    assert caught.value.code == "InvalidArgument"


def test_checksums_of_parts() -> None:
    document = complete(
        b"<Part><ETag>a</ETag><PartNumber>1</PartNumber><ChecksumCRC64NVME>nncfDyakSDc=</ChecksumCRC64NVME></Part>"
    )
    assert parse_complete(document).parts()[0].checksums == (("crc64nvme", "nncfDyakSDc="),)


def test_trap_29_numbers_may_have_gaps() -> None:
    numbers = [2, 7, 10_000]
    assert [found.number for found in parse_complete(complete(*map(part, numbers))).parts()] == numbers


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (b"", "MalformedXML"),
        (b"<CompleteMultipartUpload>", "MalformedXML"),
        (complete(), "MalformedXML"),
        (b"<Delete>" + part(1) + b"</Delete>", "MalformedXML"),
        (complete(b"<Part><PartNumber>1</PartNumber></Part>"), "MalformedXML"),
        (complete(b"<Part><ETag>a</ETag></Part>"), "MalformedXML"),
        (complete(b"<Part><ETag>a</ETag><PartNumber>x</PartNumber></Part>"), "MalformedXML"),
        (complete(part(0)), "InvalidArgument"),
        (complete(part(10_001)), "InvalidArgument"),
        (complete(part(2), part(1)), "InvalidPartOrder"),
        (complete(part(1), part(1)), "InvalidPartOrder"),
        (b'<!DOCTYPE x [<!ENTITY e "1">]>' + complete(part(1, b"&e;")), "MalformedXML"),
        (b'<?xml version="1.0" encoding="nonsense"?>' + complete(part(1)), "MalformedXML"),
        (b" " * (MAX_DOCUMENT_BYTES + 1), "MaxMessageLengthExceeded"),
    ],
)
def test_bad_complete(document: bytes, code: str) -> None:
    with pytest.raises(S3Error) as caught:
        parse_complete(document)
    assert caught.value.code == code


def delete(*objects: bytes, quiet: bytes = b"") -> bytes:
    return b"<Delete%b>%b%b</Delete>" % (
        NS,
        quiet,
        b"".join(b"<Object>%b</Object>" % item for item in objects),
    )


def test_delete() -> None:
    found = parse_delete(
        delete(
            b"<Key>a/ b &amp; c</Key>",
            b"<Key>x</Key><VersionId>null</VersionId>",
            b"<VersionId>v1</VersionId><Key>y</Key>",
            quiet=b"<Quiet>true</Quiet>",
        )
    )
    assert found.quiet
    assert [item.key for item in found.keys] == ["a/ b & c", "x", "y"]
    refusals = [item.refusal for item in found.keys]
    assert refusals[:2] == [None, None]
    assert refusals[2] is not None
    assert refusals[2].code == "NoSuchVersion"


@pytest.mark.parametrize("quiet", [b"", b"<Quiet>false</Quiet>", b"<Quiet/>"])
def test_delete_is_not_quiet_by_default(quiet: bytes) -> None:
    assert not parse_delete(delete(b"<Key>a</Key>", quiet=quiet)).quiet


def test_delete_takes_up_to_a_thousand_keys() -> None:
    assert len(parse_delete(delete(*[b"<Key>a</Key>"] * 1000)).keys) == 1000


@pytest.mark.parametrize(
    "document",
    [b"", b"<Delete/>", delete(b"<Key/>"), delete(b""), delete(*[b"<Key>a</Key>"] * 1001), complete(part(1))],
)
def test_bad_delete(document: bytes) -> None:
    with pytest.raises(S3Error) as caught:
        parse_delete(document)
    assert caught.value.code == "MalformedXML"


@pytest.mark.parametrize(
    "document", [b"", b"  ", b"<CreateBucketConfiguration/>", b"<Tagging><TagSet/></Tagging>"]
)
def test_ignored_documents(document: bytes) -> None:
    check_document(document)


def test_an_ignored_document_must_be_well_formed() -> None:
    with pytest.raises(S3Error, match="well-formed"):
        check_document(b"<Tagging>")
