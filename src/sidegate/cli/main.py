"""The `sidegate` command: finds the sub-command, and says how it ended.

Every error becomes one line on stderr and an exit code of the table in
`exit_codes`; nobody sees a traceback who did not ask for it.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

import click
from click.exceptions import NoArgsIsHelpError

from sidegate.cli.commands import Group
from sidegate.cli.exit_codes import MEANINGS, ExitCode, exit_code
from sidegate.cli.printing import printable
from sidegate.errors import SidegateError

TRACEBACK_VARIABLE = "SIDEGATE_TRACEBACK"

COMMANDS = {
    "init": "sidegate.cli.init",
    "repo": "sidegate.cli.repo",
    "branch": "sidegate.cli.branch",
    "commit": "sidegate.cli.commit",
    "file": "sidegate.cli.file",
    "run": "sidegate.cli.run",
    "job": "sidegate.cli.job",
    "provenance": "sidegate.cli.provenance",
    "serve": "sidegate.cli.serve",
    "spark": "sidegate.cli.spark",
    "bench": "sidegate.cli.bench",
    "gc": "sidegate.cli.gc",
    "fsck": "sidegate.cli.fsck",
    "doctor": "sidegate.cli.doctor",
    "completion": "sidegate.cli.completion",
    "version": "sidegate.cli.version",
}

EXAMPLES = """
sidegate init
sidegate repo create labresults
sidegate file put data/ labresults@master
sidegate run pipeline.json
sidegate provenance s3_protocol_enabled_pipeline@master
"""


class _Sidegate(Group):
    """The outermost command: reports what ended it."""

    def main(  # type: ignore[override]  # it always ends the process, in every mode
        self, args: Sequence[str] | None = None, **extra: Any
    ) -> NoReturn:
        """Run a command line and exit with the code that it earned."""
        extra["standalone_mode"] = False
        extra["prog_name"] = "sidegate"
        sys.exit(_run(lambda: super(_Sidegate, self).main(args, **extra)))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the sub-command; a reader that went away ends it quietly."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # click would make it a failure
            ctx.exit(_give_up_output())

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write examples and the table of exit codes."""
        super().format_epilog(ctx, formatter)
        with formatter.section("Exit codes"):
            formatter.write_dl([(f"{code:>3}", meaning) for code, meaning in MEANINGS.items()])


@click.group(cls=_Sidegate, lazy=COMMANDS, examples=EXAMPLES)
@click.version_option(None, "--version", package_name="sidegate", message="sidegate %(version)s")
@click.pass_context
def sidegate(ctx: click.Context) -> None:
    """Versioned data for anything that speaks S3.

    A store keeps repos, branches and commits. A pipeline reads its input
    commits through S3 buckets and writes one output commit, which names
    exactly the commits it was made from.
    """
    if os.environ.get("NO_COLOR"):  # https://no-color.org
        ctx.color = False


def main() -> NoReturn:
    """Run the command line of this process."""
    for stream in (sys.stdout, sys.stderr):
        # Names that this terminal cannot show are escaped rather than fatal.
        getattr(stream, "reconfigure", lambda **_: None)(errors="backslashreplace")
    sidegate.main()


def _run(command: Any) -> int:
    """Run `command`; report what it raises, return the exit code."""
    try:
        code = command()
        sys.stdout.flush()
    except BrokenPipeError:
        return _give_up_output()
    except (KeyboardInterrupt, click.Abort):
        return _report("interrupted", ExitCode.INTERRUPTED)
    except NoArgsIsHelpError as error:
        error.show()
        return ExitCode.USAGE
    except click.UsageError as error:
        return _report(_usage_text(error), ExitCode.USAGE)
    except click.ClickException as error:
        return _report(error.format_message(), ExitCode.USAGE)
    except SidegateError as error:
        text = f"{error.message}; {error.remedy}" if error.remedy else error.message
        return _report(text, exit_code(error))
    except OSError as error:
        if error.strerror is None:
            return _report_bug(error)
        where = f": {error.filename!r}" if error.filename is not None else ""
        return _report(f"{error.strerror}{where}", ExitCode.FAILED)
    except Exception as error:  # noqa: BLE001 - the last place that can turn a bug into a sentence
        return _report_bug(error)
    return code if isinstance(code, int) else ExitCode.SUCCESS


def _report(text: str, code: ExitCode) -> ExitCode:
    if os.environ.get(TRACEBACK_VARIABLE) == "1":
        traceback.print_exc()
    click.echo(f"error: {printable(' '.join(text.split()))}", err=True)
    return code


def _report_bug(error: Exception) -> ExitCode:
    text = f"this is a bug in sidegate: {type(error).__name__}: {error}"
    return _report(f"{text}; run again with {TRACEBACK_VARIABLE}=1 to see where", ExitCode.BUG)


def _usage_text(error: click.UsageError) -> str:
    text = error.format_message().rstrip(".")
    if text.endswith("?"):  # it asks whether something else was meant
        return text
    path = error.ctx.command_path if error.ctx is not None else "sidegate"
    return f"{text}; see `{path} --help`"


def _give_up_output() -> ExitCode:
    _silence()
    return ExitCode.PIPE_CLOSED


def _silence() -> None:
    """Keep the interpreter from flushing into the closed pipe as it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            os.dup2(nowhere, stream.fileno())
        except OSError:
            continue  # not a descriptor: nothing to flush
