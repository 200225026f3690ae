"""`sidegate provenance`: what a version was made from, and how."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from sidegate.cli.commands import Command, json_option
from sidegate.cli.printing import draw, emit, human_size, human_time, iso_time, plural, printable, short_id
from sidegate.cli.references import REPO_REF, Reference
from sidegate.cli.session import open_store, resolve_commit
from sidegate.errors import NotFound

if TYPE_CHECKING:
    from rich.text import Text
    from rich.tree import Tree

    from sidegate.pfs.commits import Commit
    from sidegate.pfs.jobs import JobRecord
    from sidegate.pfs.store import Store


@click.command(
    "provenance",
    cls=Command,
    examples="""
    sidegate provenance s3_protocol_enabled_pipeline@master
    sidegate provenance s3_protocol_enabled_pipeline@master --json | jq -r .inputs[].commit
    """,
)
@click.argument("version", type=REPO_REF)
@json_option
@click.pass_context
def command(ctx: click.Context, version: Reference, as_json: bool) -> None:
    """Show exactly what a commit was made from.

    Its input commits, theirs, and so on; for each the job, the version of the
    pipeline, and what was run: the command, hashes of the scripts it names,
    and the git commit of the folder it ran in.
    """
    with open_store(ctx) as store:
        commit = resolve_commit(store, version)
        if as_json:
            emit(_describe(store, commit))
        else:
            draw(_picture(store, commit, ""))


def _find_job(store: Store, commit: Commit) -> JobRecord | None:
    """Return the job that made a commit; the commit set carries its id."""
    if store.repos.get(commit.repo).kind != "pipeline":
        return None
    try:
        return store.jobs.get(commit.commit_set)
    except NotFound:
        return None


def _describe(store: Store, commit: Commit) -> dict[str, object]:
    job = _find_job(store, commit)
    inputs = []
    for edge in store.commits.provenance(commit.id):
        inner = _describe(store, store.commits.get(edge.commit))
        inputs.append({**inner, "name": edge.name, "repo": edge.repo, "branch": edge.branch})
    return {
        "commit": commit.id,
        "repo": commit.repo,
        "branch": commit.branch,
        "description": commit.description,
        "finished": iso_time(commit.finished_us),
        "job": job.id if job is not None else None,
        "pipeline": job.pipeline if job is not None else None,
        "pipeline_version": job.pipeline_version if job is not None else None,
        "run": job.details.get("run") if job is not None else None,
        "inputs": inputs,
    }


def _picture(store: Store, commit: Commit, name: str) -> Tree:
    from rich.tree import Tree

    tree = Tree(_label(store, commit, name))
    for edge in store.commits.provenance(commit.id):
        tree.children.append(_picture(store, store.commits.get(edge.commit), edge.name))
    return tree


def _label(store: Store, commit: Commit, name: str) -> Text:
    from rich.text import Text

    label = Text(f"{name} ← " if name else "")
    label.append(f"{commit.repo}@{commit.branch}", style="bold cyan")
    label.append(f"  {short_id(commit.id)}", style="yellow")
    content = f"{plural(commit.file_count, 'file')}, {human_size(commit.size_bytes)}"
    label.append(f"  {content}, {human_time(commit.finished_us)}")
    if commit.description:
        label.append(f"\n{printable(commit.description)}", style="italic")
    job = _find_job(store, commit)
    if job is not None:
        for line in _job_lines(job):
            label.append(f"\n{printable(line)}", style="dim")
    return label


def _job_lines(job: JobRecord) -> list[str]:
    run: dict[str, Any] = job.details.get("run") or {}
    lines = [f"job {short_id(job.id)}, pipeline {job.pipeline} version {job.pipeline_version}"]
    if run.get("argv"):
        lines.append(f"ran {' '.join(run['argv'])}")
    if run.get("stdin_blake3"):
        lines.append(f"standard input blake3:{short_id(run['stdin_blake3'])}")
    lines += [f"file {file['path']} blake3:{short_id(file['blake3'])}" for file in run.get("files", [])]
    if run.get("git"):
        changed = ", with changes that are not committed" if run["git"]["dirty"] else ""
        lines.append(f"git {short_id(run['git']['commit'])}{changed}")
    return lines
