"""Statistics, goals, comparison, tables and the page."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from sidegate.bench import comparison, report
from sidegate.bench.assembling import add_failure
from sidegate.bench.cells import CELLS, Cell
from sidegate.bench.corpus import SCALES
from sidegate.bench.document import document_of, read_document, write_document
from sidegate.bench.goals import BARE, BARE_WRITES, CODEC, GOALS, OURS, best_peer, judge
from sidegate.bench.latencies import added, compact, cumulative, percentile
from sidegate.bench.page import render_page
from sidegate.bench.results import Result, Sample, cpu_ratio, ratio, ratio_bounds
from sidegate.bench.rounds import Settings
from sidegate.bench.wrong_answers import difference, shown_answer, shown_example
from sidegate.errors import Invalid, NotFound
from sidegate.native.exchange import BUCKETS, Exchange, Tally, bucket_of

FULL = SCALES["full"]
SETTINGS = Settings(FULL)


def cell(name: str) -> Cell:
    return next(cell for cell in CELLS if cell.name == name)


def histogram(*milliseconds: float) -> list[int]:
    counts = [0] * BUCKETS
    for one in milliseconds:
        counts[bucket_of(int(one * 1e6))] += 1
    return counts


def result(name: str, label: str, *rates: float, ms: float = 1.0, **more: Any) -> Result:
    samples = [Sample(2.0, int(rate * 2), **more) for rate in rates]
    return Result(cell(name), label, FULL, 4, samples, [histogram(ms) for _ in rates])


def document(*results: Result, **more: Any) -> dict[str, Any]:
    labels = dict.fromkeys(one.label for one in results)
    return document_of(
        results, SETTINGS, [{"label": one, "url": "http://x"} for one in labels], sign="none", **more
    )


def test_percentiles() -> None:
    counts = histogram(*range(1, 101))
    assert percentile(counts, 0.5) == pytest.approx(0.050, rel=0.04)
    assert percentile(counts, 0.99) == pytest.approx(0.099, rel=0.04)
    assert percentile([0] * BUCKETS, 0.5) is None
    assert sum(added([counts, counts])) == 200
    points = cumulative(compact(counts))
    assert points[-1][1] == 1.0
    assert points == sorted(points)


def test_a_result_is_the_median_of_its_rounds() -> None:
    one = result("get-64m", "x", 10.0, 30.0, 20.0, cpu_seconds=1.0, client_busy=0.95, resident_bytes=1 << 20)
    assert one.rate == 20.0
    assert one.value == pytest.approx(20 * (64 << 20) / 1e6)
    assert one.cpu_seconds == pytest.approx(1.0 / 40)
    assert one.cpu_seconds_per_gb == pytest.approx(1.0 / 40 / (64 << 20) * 1e9)
    assert one.client_was_limit
    assert one.failures == 0


def rounds(name: str, label: str, *cpu_seconds: float, rate: float = 10.0) -> Result:
    """Return a result of even rates, with the CPU time that each round took."""
    found = result(name, label, *[rate] * len(cpu_seconds))
    found.samples = [
        replace(sample, cpu_seconds=seconds)
        for sample, seconds in zip(found.samples, cpu_seconds, strict=True)
    ]
    return found


def test_rounds_that_are_far_from_each_other_are_uneven() -> None:
    assert rounds("put-64m", "x", 1.0, 1.2, 1.1).spread == pytest.approx(1.2)
    assert not rounds("put-64m", "x", 1.0, 1.2, 1.1).is_uneven
    assert rounds("put-64m", "x", 1.9, 2.0, 0.7).is_uneven
    assert result("put-64m", "x", 10.0, 30.0).spread == pytest.approx(3.0), "rates, where no CPU time is seen"
    assert result("put-64m", "x", 10.0).spread is None
    assert result("put-64m", "x", 0.0, 10.0).spread is None
    assert not result("put-64m", "x", 10.0).is_uneven


def test_a_goal_is_not_told_by_rounds_that_contradict_each_other() -> None:
    ours, low = result("put-64m", OURS, 50.0, 50.0), result("put-64m", BARE_WRITES, 40.0, 120.0)
    assert verdicts(ours, low)["put-64m", "bare"] == "disturbed"
    (verdict, _) = judge([ours, low], ["p"])
    assert verdict.is_reached is None
    assert verdict.bounds == (pytest.approx(50 / 120), pytest.approx(50 / 40))
    # However the rounds are paired, it is reached; or it is not.
    assert verdicts(ours, result("put-64m", BARE_WRITES, 40.0, 100.0))["put-64m", "bare"] == "reached"
    assert verdicts(ours, result("put-64m", BARE_WRITES, 200.0, 400.0))["put-64m", "bare"] == "NOT reached"
    assert verdicts(result("put-4k", OURS, 8_000.0, 20_000.0))["put-4k", "value"] == "disturbed"


def test_ratios_to_uneven_rounds_are_marked() -> None:
    kept = document(result("head", "a", 100.0, 40.0), result("head", "b", 50.0, 51.0))
    rows = list(report.rows(kept))
    assert [row[report.COLUMNS.index("spread")] for row in rows] == ["2.50x", "1.02x"]
    assert rows[1][report.COLUMNS.index("ratio")].endswith("x ?")
    assert rows[0][-1] == "rounds uneven"
    assert compared(kept, kept) == [("a", "same ?"), ("b", "same ?")]
    older = json.loads(json.dumps(kept))
    for one in older["results"]:
        del one["spread"], one["is_uneven"]
    assert compared(older, older) == [("a", "same"), ("b", "same")], "runs were kept before this was said"
    assert render_page(older)


def test_milliseconds_are_latencies() -> None:
    slow, fast = result("copy-64m", "slow", 10, ms=4.0), result("copy-64m", "fast", 10, ms=1.0)
    assert slow.value == pytest.approx(4.0, rel=0.04)
    assert ratio(fast, slow) == pytest.approx(4.0, rel=0.08)


def test_what_is_not_there_has_no_ratio() -> None:
    assert ratio(None, result("head", "x", 1.0)) is None
    assert ratio(result("head", "x", 0.0), result("head", "y", 1.0)) is None
    assert cpu_ratio(result("head", "x", 1.0), result("head", "y", 1.0)) is None


def test_failures_are_counted_however_they_came() -> None:
    one = result("head", "x", 1.0, failed=2, unanswered=1)
    one.wrong.append("not what was stored")
    one.refused = "no"
    assert one.failures == 5


def verdicts(*results: Result, peers: tuple[str, ...] = ("p", "q")) -> dict[tuple[str, str], str]:
    return {(v.goal.cell, v.goal.kind): v.word for v in judge(results, peers)}


@pytest.mark.parametrize(
    ("parts", "failed", "unanswered"),
    [
        (Tally(begun=8, answered=7, failed=1, examples=[(0, b"x")]), 1, 0),
        (Tally(begun=8, answered=6, unanswered=2), 0, 2),
        (Tally(begun=3, answered=3), 0, 1),
    ],
)
def test_an_upload_that_came_to_nothing_is_never_right(parts: Tally, failed: int, unanswered: int) -> None:
    """Also where its time was over before all parts were sent."""
    whole = Tally(begun=1)
    add_failure(whole, [parts])
    assert (whole.failed, whole.unanswered) == (failed, unanswered)
    assert whole.examples == parts.examples


def test_goals_are_held_against_results() -> None:
    found = verdicts(
        result("head", OURS, 50.0),
        result("head", BARE, 100.0),
        result("head", "p", 10.0),
        result("head", "q", 21.0),
    )
    assert found == {("head", "bare"): "reached", ("head", "peer"): "NOT reached"}
    found = verdicts(result("copy-64m", OURS, 5.0, ms=0.9), result("complete-64m", OURS, 5.0, ms=2.5))
    assert found == {("copy-64m", "value"): "reached", ("complete-64m", "value"): "NOT reached"}


def test_uploads_are_held_against_the_bare_server_that_writes() -> None:
    results = (
        result("put-1m", OURS, 50.0),
        result("put-1m", BARE, 1000.0),
        result("put-1m", BARE_WRITES, 100.0),
    )
    assert verdicts(*results)["put-1m", "bare"] == "reached"
    assert verdicts(results[0], results[1])["put-1m", "bare"] == "NOT reached"


def test_goals_against_cells_and_the_codec() -> None:
    found = verdicts(
        result("put-1m", OURS, 100.0),
        result("put-1m-sha256", OURS, 71.0),
        result("put-1m-chunked", OURS, 71.0),
        result("csv-get-64m", OURS, 80.0),
        result("csv-get-64m", CODEC, 100.0),
    )
    assert found["put-1m-sha256", "cell"] == "reached"
    assert found["put-1m-chunked", "cell"] == "NOT reached"
    assert found["csv-get-64m", "codec"] == "reached"
    assert found["put-1m", "peer"] == "not compared"


def test_goals_name_cells_that_there_are() -> None:
    names = {cell.name for cell in CELLS}
    assert all(goal.cell in names and goal.other in names | {""} for goal in GOALS)


def test_the_best_peer_is_the_fastest_that_answers() -> None:
    results = [result("head", "p", 0.0), result("head", "q", 5.0), result("copy-64m", "p", 1.0, ms=9.0)]
    results.append(result("copy-64m", "q", 1.0, ms=3.0))
    best = best_peer(results, "head", ["p", "q"])
    assert best is not None
    assert best.label == "q"
    assert best_peer(results, "copy-64m", ["p", "q"]) is results[-1]
    assert best_peer(results, "head", ["p"]) is None


def test_documents_are_kept_and_read(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "run.json"
    written = document(result("head", "x", 5.0))
    write_document(path, written)
    assert read_document(path) == json.loads(json.dumps(written))
    with pytest.raises(NotFound):
        read_document(tmp_path / "none.json")
    for text in ("no JSON", "[]", '{"format": 99}'):
        path.write_text(text)
        with pytest.raises(Invalid, match="no result of `sidegate bench`"):
            read_document(path)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ({"format": 2}, "its format is 2"),
        ({"results": {}}, "`results` is no list"),
        ({"results": [{}]}, "`cell` of result 0"),
        ({"results": ["x"]}, "`cell` of result 0"),
        ({"settings": []}, "`settings` is no object"),
    ],
)
def test_documents_that_are_damaged_are_refused(tmp_path: Path, damage: dict[str, Any], said: str) -> None:
    path = tmp_path / "run.json"
    path.write_text(json.dumps(document(result("head", "x", 5.0)) | damage))
    with pytest.raises(Invalid, match=re.escape(said)):
        read_document(path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("value", "5"),
        ("value", -1),
        ("value", float("nan")),
        pytest.param("value", 10**400, id="value of 400 digits"),
        ("value", 1e300),
        ("cpu_us_per_request", True),
        pytest.param("cpu_us_per_request", 10**400, id="CPU time of 400 digits"),
        ("title", ["a"]),
    ],
)
def test_figures_that_are_none_are_refused(tmp_path: Path, field: str, value: object) -> None:
    path = tmp_path / "run.json"
    written = document(result("head", "x", 5.0))
    written["results"][0][field] = value
    path.write_text(json.dumps(written))
    with pytest.raises(Invalid, match="is no result"):
        read_document(path)


def test_a_file_that_nests_too_deep_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text("[" * 100_000)
    with pytest.raises(Invalid, match="is no result"):
        read_document(path)


def test_cells_that_are_measured_together_have_rows_of_their_own() -> None:
    pairs = [(name, label) for label in "ab" for name in ("multipart-64m", "complete-64m")]
    rows = list(report.rows(document(*(result(name, label, 1.0) for name, label in pairs))))
    assert [row[:2] for row in rows] == [
        ("multipart 64 MiB", "a"), ("", "b"), ("Complete of it", "a"), ("", "b")
    ]  # fmt: skip


def test_a_comparison_tells_of_wrong_answers() -> None:
    old, new = document(result("head", "a", 1.0)), document(result("head", "a", 2.0, failed=3))
    assert compared(old, new) == [("a", "not comparable, 3 WRONG or missing")]
    assert compared(new, old) == [("a", "not comparable, 3 WRONG or missing before")]


def test_what_is_wrong_is_no_measure_for_others_either() -> None:
    wrong = result("head", "a", 50.0)
    wrong.wrong.append("GET of the written x: the answer is not what was written")
    other = result("head", "b", 5.0)
    old, new = document(wrong, other), document(result("head", "a", 5.0), other)
    assert compared(old, new)[1] == ("b", "not comparable, a WRONG before")
    older = json.loads(json.dumps(old))
    for one in older["results"]:
        del one["is_wrong"]
    assert compared(older, new) == compared(old, new), "failures are all that is known of it"


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({}, False),
        ({"failed": 4, "unanswered": 1}, False),  # of 105 in each round: told, and no more
        ({"failed": 4, "unanswered": 2}, True),
    ],
)
def test_a_few_requests_that_fail_do_not_make_a_figure_wrong(change: dict[str, int], wrong: bool) -> None:
    one = result("head", "b", 50.0, 50.0, **change)
    assert one.is_wrong is wrong
    assert (ratio(one, result("head", "a", 50.0)) is None) is wrong


@pytest.mark.parametrize(
    "change",
    [{"wrong": ["the answer is not what was stored"]}, {"false": True}, {"refused": "no more"}],
)
def test_a_server_that_stores_nothing_is_not_the_faster_one(change: dict[str, Any]) -> None:
    """One answer that claims success and is not right is enough, on either side."""
    wrong, right = replace(result("put-4k", "wrong", 900.0), **change), result("put-4k", "right", 500.0)
    for results in ((wrong, right), (right, wrong)):
        rows = list(report.rows(document(*results)))
        assert [row[report.COLUMNS.index("ratio")] for row in rows] == ["", "wrong"]
    assert ratio(wrong, right) is None
    assert cpu_ratio(wrong, right) is None
    assert ratio_bounds(wrong, right, by_cpu=False) is None


def test_no_goal_is_reached_by_wrong_answers_nor_missed_because_of_them() -> None:
    ours, bare = result("head", OURS, 50.0), result("head", BARE, 100.0)
    peer, fast = result("head", "p", 10.0), replace(result("head", "q", 900.0), false=True)
    assert verdicts(ours, bare, peer, fast) == {("head", "bare"): "reached", ("head", "peer"): "reached"}
    assert best_peer([fast], "head", ["q"]) is None
    wrong = replace(ours, false=True)
    assert set(verdicts(wrong, bare, peer).values()) == {"wrong"}
    assert set(verdicts(replace(result("put-4k", OURS, 1e6), false=True)).values()) == {"wrong"}
    assert verdicts(ours, replace(bare, false=True))["head", "bare"] == "wrong"


def test_the_table_has_ratios_to_the_first_endpoint() -> None:
    rows = list(
        report.rows(document(result("head", "a", 100.0), result("head", "b", 50.0, client_busy=0.99)))
    )
    ratios = [row[report.COLUMNS.index("ratio")] for row in rows]
    assert ratios == ["", "0.50x"]
    assert rows[1][-1] == "client was the limit"


def test_wrong_answers_are_shown_with_an_example() -> None:
    wrong = result("head", "b", 50.0, failed=3)
    wrong.examples.append("HTTP/1.1 503 Slow Down")
    (line,) = report.failures(document(result("head", "a", 1.0), wrong))
    assert "3 wrong or missing" in line
    assert "503 Slow Down" in line


def test_answers_that_did_not_come_are_said_so() -> None:
    (line,) = report.failures(document(result("head", "a", 1.0, unanswered=8)))
    assert line.endswith("8 wrong or missing; for example: no answer came in time to 8")


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        (
            b"HTTP/1.1 200 OK\r\nX-Long: y\r\n\r\n<Error>\n<Code>A</Code>",
            "HTTP/1.1 200 OK <Error> <Code>A</Code>",
        ),
        (b"HTTP/1.1 503 Slow Down\r\nX: y", "HTTP/1.1 503 Slow Down"),
        (b"", "the server closed the connection"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n\xff\x00",
            "HTTP/1.1 200 OK, 99 bytes that are no text",
        ),
        (b"HTTP/1.1 200 OK\r\n\r\n\x00\x01", "HTTP/1.1 200 OK, some bytes that are no text"),
        (b"HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK, no body"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", "HTTP/1.1 200 OK, 99 bytes"),
        (b"HTTP/1.1 503 Slow\r\nContent-Length: 0\r\n\r\n\x00", "HTTP/1.1 503 Slow"),
        ("HTTP/1.1 400 Bad\r\n\r\nzu groß".encode()[:-1], "HTTP/1.1 400 Bad zu gro"),
        (b"\x15\x03\x01\x00\x02", "what came is no HTTP"),
    ],
)
def test_wrong_answers_are_shown_by_status_and_body(answer: bytes, shown: str) -> None:
    assert shown_answer(answer) == shown


GET = b"GET /b/k?X-Amz-Signature=1 HTTP/1.1\r\n\r\n"
STORED = bytes(range(256)) * 16


@pytest.mark.parametrize(
    ("exchange", "answer", "shown"),
    [
        (
            Exchange(GET, 206, 65536),
            b"HTTP/1.1 200 OK\r\nContent-Length: 8388608\r\n\r\n\xff",
            "GET /b/k: HTTP/1.1 200 OK, 8 388 608 bytes that are no text; expected 206 with 65 536 bytes",
        ),
        (
            Exchange(GET, 200, 4096, STORED),
            b"HTTP/1.1 200 OK\r\nContent-Length: 4095\r\n\r\n" + STORED[:200],
            "GET /b/k: HTTP/1.1 200 OK, 4 095 bytes that are no text; expected 200 with 4 096 bytes",
        ),
        (
            Exchange(GET, 200, 4096, STORED),
            b"HTTP/1.1 200 OK\r\nContent-Length: 4096\r\n\r\n" + STORED[:3] + b"\xff" + STORED[4:200],
            "GET /b/k: HTTP/1.1 200 OK, 4 096 bytes that are no text; "
            "the body differs from what was stored: first in byte 3",
        ),
        (
            Exchange(GET, 200, 4096, STORED),
            b"HTTP/1.1 200 OK\r\nContent-Length: 4096\r\n\r\n" + STORED[:200],
            "GET /b/k: HTTP/1.1 200 OK, 4 096 bytes that are no text; "
            "expected 200 with 4 096 bytes, of which some differ or did not come",
        ),
        (
            Exchange(b"HEAD /b/k HTTP/1.1\r\n\r\n", 200, 0),
            b"HTTP/1.1 503 Slow Down\r\nContent-Length: 99\r\n\r\n",
            "HEAD /b/k: HTTP/1.1 503 Slow Down, 99 bytes; expected 200",
        ),
        (
            Exchange(b"POST /b/k HTTP/1.1\r\n\r\n", 200, holds=b"ETag>"),
            b"HTTP/1.1 200 OK\r\n\r\n<Code>InternalError</Code>",
            "POST /b/k: HTTP/1.1 200 OK <Code>InternalError</Code>; expected 200 with ETag in the body",
        ),
        (
            Exchange(b"PUT /b/k HTTP/1.1\r\n\r\n"),
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            "PUT /b/k: HTTP/1.1 200 OK, no body; expected 200 after all of the request was sent",
        ),
        (Exchange(GET, 200, 9), b"", "GET /b/k: the server closed the connection; expected 200 with 9 bytes"),
    ],
)
def test_wrong_answers_are_shown_with_what_was_expected(
    exchange: Exchange, answer: bytes, shown: str
) -> None:
    assert shown_example(answer, exchange) == shown


@pytest.mark.parametrize(
    ("found", "wanted", "said"),
    [(b"", b"abc", "0 bytes came instead of 3 bytes"), (b"abX", b"abc", "first in byte 2")],
)
def test_what_was_read_back_is_told_from_what_was_written(found: bytes, wanted: bytes, said: str) -> None:
    assert difference(found, wanted) == said


@pytest.mark.parametrize(
    ("value", "text"), [(None, ""), (12345.6, "12 346"), (123.4, "123"), (12.34, "12.3"), (1.234, "1.23")]
)
def test_numbers_have_three_digits(value: float | None, text: str) -> None:
    assert report.number(value) == text


def compared(old: dict[str, Any], new: dict[str, Any]) -> list[tuple[str, str]]:
    rows = list(comparison.rows(old, new))
    assert all(len(row) == len(comparison.COLUMNS) for row in rows)
    return [(row[1], row[-1]) for row in rows]


def test_runs_are_compared() -> None:
    old = document(result("head", "a", 100.0), result("get-4k", "a", 100.0), result("range-64k", "a", 1.0))
    new = document(result("head", "a", 105.0), result("get-4k", "a", 50.0), result("get-8m", "a", 1.0))
    assert compared(old, new) == [("a", "same"), ("a", "SLOWER"), ("a", "gone"), ("a", "new")]


def test_what_stands_beside_a_first_endpoint_is_compared_by_the_ratio() -> None:
    """The machine was half as fast: only the ratios say that nothing changed."""
    old = document(result("head", "a", 100.0), result("head", "b", 50.0))
    new = document(result("head", "a", 50.0), result("head", "b", 25.0))
    assert compared(old, new) == [("a", "SLOWER"), ("b", "same")]
    faster = document(result("head", "a", 50.0), result("head", "b", 50.0))
    assert compared(old, faster)[1] == ("b", "faster")


def test_shorter_latencies_are_faster() -> None:
    old, new = document(result("copy-64m", "a", 1.0, ms=4.0)), document(result("copy-64m", "a", 1.0, ms=1.0))
    assert compared(old, new) == [("a", "faster")]


def test_differences_of_setting_are_named() -> None:
    old, new = document(result("head", "a", 1.0)), document(result("head", "a", 1.0))
    new["settings"] = {**new["settings"], "rounds": 9}
    new["host"] = {**new["host"], "load_average": [9, 9, 9]}
    assert comparison.settings_that_differ(old, new) == ["settings rounds: 3 -> 9"]


def test_the_page_is_whole_and_loads_nothing() -> None:
    label = '<script>alert("x")</script>'
    wrong = result("get-64m", label, 5.0, 6.0, failed=1)
    wrong.examples.append("<Error>&")
    text = render_page(document(result("get-64m", "a", 5.0, 6.0), wrong, result("copy-64m", "a", 0.0)))
    assert "<script" not in text
    assert re.findall(r'(?:src|href)="', text) == []
    assert "prefers-color-scheme: dark" in text
    plots = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(plots) >= 3
    for plot in plots:
        ElementTree.fromstring(plot)
    ElementTree.fromstring("<body>" + text.partition("<body>")[2].partition("</body>")[0] + "</body>")


def bar_lengths(text: str) -> list[float]:
    (plot,) = re.findall(r"<svg.*?</svg>", text, re.DOTALL)[:1]
    return [float(found) for found in re.findall(r'<rect[^>]* width="([\d.]+)" height="12"', plot)]


def test_bars_of_wrong_answers_are_hatched_and_set_no_scale() -> None:
    right = result("head", "right", 50.0)
    wrong = replace(result("head", "wrong", 5000.0), false=True)
    text = render_page(document(right, wrong))
    assert re.search(r'<rect class="wrong"[^>]*fill="url\(#hatch-head\)"', text)
    assert '<pattern id="hatch-head"' in text
    assert "5 000 req/s, wrong" in text
    longest, cut = bar_lengths(text)
    assert longest == cut
    assert "<pattern" not in render_page(document(right))


def test_remarks_stand_above_the_figures() -> None:
    text = render_page(document(result("head", "a", 50.0), result("head", "b", 50.0, failed=3)))
    section = text.partition('<section id="head">')[2]
    assert section.index('<p class="wrong">b: 3 WRONG or missing</p>') < section.index("<svg")
    assert "<th>remarks</th>" not in text


def test_long_labels_stay_within_the_plots_and_curves_have_a_legend() -> None:
    label = "a-server-with-a-very-long-name.example.com:9000, without authentication"
    text = render_page(document(result("head", label, 50.0), result("head", "b", 40.0)))
    bars, curves = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    for plot in (bars, curves):
        ElementTree.fromstring(plot)
        assert f"<title>{label}</title>" in plot
        assert re.search(r'<text x="\d+" y="\d+">a-server-with-a-very-long[^<]*…<title>', plot)
        assert re.search(r'<text x="\d+" y="\d+">b<title>', plot)
        assert int(re.findall(r"viewBox=.0 0 (\d+)", plot)[0]) <= 400, "read on a telephone"
    # A dot is never beside the figure: that stands above the bar.
    assert set(re.findall(r'cy="(\d+)"', bars)).isdisjoint(re.findall(r'<text[^>]* y="(\d+)"', bars))


def test_the_page_tells_what_was_left_behind() -> None:
    kept = document(result("head", "a", 1.0), left_behind=["a: the bucket <b> could not be removed"])
    assert "<li>a: the bucket &lt;b&gt; could not be removed</li>" in render_page(kept)
    assert "Left behind" not in render_page(document(result("head", "a", 1.0), left_behind=[]))


def test_the_page_has_the_goals() -> None:
    goal = {
        "cell": "head", "title": "HEAD", "endpoint": OURS, "unit": "req/s", "ours": 1.0, "against": None,
        "other": None, "reached": 1.0, "by_cpu": None, "wanted": "≥ 2 req/s", "verdict": "NOT reached",
    }  # fmt: skip
    assert "What is to be reached: 0 of 1" in render_page(document(result("head", OURS, 1.0), goals=[goal]))


def test_scaled_cells_say_so() -> None:
    assert cell("get-64m").title_at(SCALES["smoke"]) == "GET 64 MiB (1/16 of that)"
    assert cell("get-4k").title_at(SCALES["smoke"]) == "GET 4 KiB"
    assert replace(FULL, divisor=16).size(64 << 20) == 4 << 20
