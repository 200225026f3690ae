"""Rules of the house that no other tool checks, over the files of the repository."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = (
    "src",
    "ext",
    "tests",
    "bench",
    "examples",
    "scripts",
    "docs",
    "changes.d",
    "requirements",
    ".ci",
    ".github",
)
BINARY = {".so", ".pyc", ".png", ".zst", ".pack", ".bin", ".db", ".gz"}

FUNCTION_LINES = 50
MODULE_LINES = 450
WORKFLOW_LINES = 120
ARCHITECTURE_LINES = 120  # two pages

UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX)\b")
# Split, so that this file does not break its own rules.
MACHINES = (r"/ro" r"ot/", r"/wo" r"rk/", r"/home/(?!runner\b)\w+/", r"/Us" r"ers/\w+/", r"/tmp/ven" r"vs")
REGISTRIES = (r"py" r"pi\.org", r"pythonho" r"sted", r"npm" r"js\.org", r"deb\.deb" r"ian", r"crates" r"\.io")
FOREIGN = re.compile("|".join(MACHINES + REGISTRIES))
VAGUE = {"utils", "util", "helpers", "helper", "common", "misc", "manager"}

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


def repository_files() -> list[Path]:
    """Return the files that belong to the repository, without what was built from them."""
    top = [path for path in ROOT.iterdir() if path.is_file() and path.name != ".git"]  # a work tree's
    below = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file()]
    kept = [path for path in top + below if path.suffix not in BINARY]
    return sorted(path for path in kept if not {"__pycache__", ".hypothesis"}.intersection(path.parts))


def egg_info(path: Path) -> bool:
    return any(part.endswith(".egg-info") for part in path.parts)


FILES = [path for path in repository_files() if not egg_info(path)]
MODULES = [path for path in FILES if path.suffix == ".py" and path.is_relative_to(ROOT / "src")]
WORKFLOWS = [path for path in FILES if path.is_relative_to(ROOT / ".github/workflows")]


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def lines_matching(pattern: re.Pattern[str]) -> Iterator[str]:
    for path in FILES:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if pattern.search(line):
                yield f"{relative(path)}:{number}: {line.strip()[:100]}"


def code_lines(node: FunctionNode) -> int:
    """Return a function's lines from `def` on, its docstring not counted."""
    first = node.body[0]
    has_docstring = ast.get_docstring(node, clean=False) is not None
    docstring_lines = (first.end_lineno or 0) - first.lineno + 1 if has_docstring else 0
    return (node.end_lineno or 0) - node.lineno + 1 - docstring_lines


def is_migration(path: Path) -> bool:
    """Whether a module lists the tables that one version of the schema adds."""
    return path.parent.name == "versions"


def is_table(path: Path) -> bool:
    """Whether a module is mostly one literal, such as a schema: a table may be long."""
    tree = parsed(path)
    longest = max(((node.end_lineno or 0) - node.lineno + 1 for node in tree.body), default=0)
    return longest > MODULE_LINES // 2 and not any(isinstance(node, FunctionNode) for node in tree.body)


def test_the_repository_is_found() -> None:
    assert len(MODULES) > 50
    assert {"README.md", "Makefile", "pyproject.toml"} <= {relative(path) for path in FILES}


def test_functions_fit_on_a_screen() -> None:
    long = [
        f"{relative(path)}:{node.lineno}: {node.name} has {code_lines(node)} lines"
        for path in MODULES
        for node in ast.walk(parsed(path))
        if isinstance(node, FunctionNode) and code_lines(node) > FUNCTION_LINES and not is_migration(path)
    ]
    assert long == []


def test_modules_hold_one_idea() -> None:
    counts = {relative(path): len(path.read_text().splitlines()) for path in MODULES if not is_table(path)}
    assert {name: count for name, count in counts.items() if count > MODULE_LINES} == {}


def test_modules_have_a_noun() -> None:
    assert [relative(path) for path in MODULES if path.stem in VAGUE] == []


def undocumented(path: Path) -> Iterator[str]:
    tree = parsed(path)
    if ast.get_docstring(tree) is None and tree.body:
        yield f"{relative(path)}: the module"
    public = [node for node in tree.body if isinstance(node, ast.ClassDef | FunctionNode)]
    for node in public:
        if not node.name.startswith("_") and ast.get_docstring(node) is None:
            yield f"{relative(path)}:{node.lineno}: {node.name}"


def test_public_names_are_documented() -> None:
    assert [name for path in MODULES for name in undocumented(path)] == []


def docstrings(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.ClassDef | FunctionNode) and not node.name.startswith("_"):
            text = ast.get_docstring(node)
            if text:
                yield node.lineno, text


def test_docstrings_begin_with_one_short_sentence() -> None:
    wrong = [
        f"{relative(path)}:{number}: {first}"
        for path in MODULES
        for number, text in docstrings(path)
        if len(first := text.partition("\n")[0]) > 100 or not first.rstrip("`)\"'").endswith((".", "?", ":"))
    ]
    assert wrong == []


READ_THE_ENVIRONMENT = ("app.py", "worker.py", "cli/", "native/")
# It starts servers of others, with the environment that it has itself.
HANDS_IT_ON = "bench/servers.py"


def reads_environment(node: ast.AST) -> bool:
    names = {"environ", "environb", "getenv", "getenvb"}
    if isinstance(node, ast.ImportFrom):
        return node.module == "os" and any(alias.name in names for alias in node.names)
    return (
        isinstance(node, ast.Attribute)
        and node.attr in names
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
    )


def test_the_environment_is_read_where_all_is_put_together() -> None:
    """As ARCHITECTURE.md says: everything else has it handed in."""
    modules = {path.relative_to(ROOT / "src/sidegate").as_posix(): path for path in MODULES}
    readers = {
        name
        for name, path in modules.items()
        if any(reads_environment(node) for node in ast.walk(parsed(path)))
    }
    assert HANDS_IT_ON in readers
    assert {name for name in readers if not name.startswith(READ_THE_ENVIRONMENT)} == {HANDS_IT_ON}


def test_nothing_is_left_unfinished() -> None:
    assert [
        line for line in lines_matching(UNFINISHED) if not line.startswith("tests/test_repository.py")
    ] == []


def test_no_file_names_a_machine_or_a_registry() -> None:
    assert list(lines_matching(FOREIGN)) == []


def test_commands_of_the_readme_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for name in ("README.md", "CONTRIBUTING.md"):
        commands = set(
            re.findall(r"\bmake ([a-z-]+)\b(?= *(?:#|  |`|$))", (ROOT / name).read_text(), re.MULTILINE)
        )
        assert commands, name
        assert commands <= targets, name
    assert {"demo", "test"} <= targets


def test_every_command_is_listed_by_help() -> None:
    makefile = (ROOT / "Makefile").read_text()
    listed = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony is not None
    assert listed == set(phony.group(1).split())


@pytest.mark.parametrize("document", sorted(path for path in FILES if path.suffix == ".md"), ids=relative)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text(encoding="utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_the_architecture_fits_on_two_pages() -> None:
    assert len((ROOT / "ARCHITECTURE.md").read_text().splitlines()) <= ARCHITECTURE_LINES


def test_the_documented_example_is_unchanged() -> None:
    """The text of the documentation that we promise to run, parsed."""
    assert json.loads((ROOT / "examples/labresults/pipeline.json").read_text()) == {
        "pipeline": {"name": "s3_protocol_enabled_pipeline"},
        "input": {"pfs": {"glob": "/", "repo": "labresults", "name": "labresults", "s3": True}},
        "transform": {
            "cmd": ["sh"],
            "stdin": [
                "set -x && mkdir -p /tmp/result && aws --endpoint-url $S3_ENDPOINT s3 ls "
                "&& aws --endpoint-url $S3_ENDPOINT s3 cp s3://labresults/ /tmp/result/ --recursive "
                "&& aws --endpoint-url $S3_ENDPOINT s3 cp /tmp/result/ s3://out --recursive"
            ],
            "image": "pachyderm/ubuntu-with-s3-clients:v0.0.1",
        },
        "s3_out": True,
    }


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=relative)
def test_workflows_are_small_and_pinned(workflow: Path) -> None:
    text = workflow.read_text()
    assert len(text.splitlines()) < WORKFLOW_LINES
    document: dict[str, Any] = yaml.safe_load(text)
    assert document["permissions"] == {}
    for job in document["jobs"].values():
        assert "timeout-minutes" in job or "uses" in job
        used = [step["uses"] for step in job.get("steps", ()) if "uses" in step]
        assert [action for action in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action)] == []


def test_every_workflow_is_required() -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/main.yml").read_text())["jobs"]
    called = {job["uses"].rpartition("/")[2] for job in jobs.values() if "uses" in job}
    assert called == {path.name for path in WORKFLOWS if "workflow_call:" in path.read_text()}
    assert set(jobs["required"]["needs"]) == set(jobs) - {"required"}


CLIENT_LOCKS = [f"clients-{group}" for group in ("core", "s3fs", "kfp", "torch")]


@pytest.mark.parametrize("name", ["check", "demo", "test", *CLIENT_LOCKS])
def test_locks_are_exact_and_name_no_place(name: str) -> None:
    lines = (ROOT / "requirements" / f"{name}.lock").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert [line for line in pins if not re.fullmatch(r"[a-z0-9._-]+==[\w.]+( ; .+)?", line)] == []
    assert len(pins) == len({line.partition("==")[0] for line in pins})


def test_locks_agree() -> None:
    """Any two of them fit into one environment, save those of Spark and of clients, which have their own."""
    versions: dict[str, set[str]] = {}
    locks = (ROOT / "requirements").glob("*.lock")
    for path in (lock for lock in locks if not lock.name.startswith(("spark-", "clients-"))):
        for name, version in re.findall(r"^([a-z0-9._-]+)==([\w.]+)", path.read_text(), re.MULTILINE):
            versions.setdefault(name, set()).add(version)
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}
