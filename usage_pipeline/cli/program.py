"""The group that holds every verb, and how each of them may end."""

import logging
import os
import sys
from typing import Final

import click
from click.exceptions import NoArgsIsHelpError

from usage_pipeline import refusals, settings
from usage_pipeline.cli import (
    again,
    automation,
    backfill,
    demo,
    doctor,
    init,
    migrate,
    recalc,
    restate,
    restatements,
    retention,
    sources,
    sql,
    status,
    up,
    usage,
)  # fmt: skip
from usage_pipeline.cli.console import narrate
from usage_pipeline.refusals import Refusal
from usage_pipeline.warehouse import session
from usage_pipeline.warehouse.failures import Missing

_EXAMPLES: Final = """\b
Examples:
  usage-pipeline usage tokens --user "Ada Lovelace"
  usage-pipeline backfill all --from yesterday --to today
  usage-pipeline recalc --user "Ada Lovelace" --from yesterday --to today
"""


@click.group(
    epilog=_EXAMPLES, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="usage-pipeline", prog_name="usage-pipeline")
def program() -> None:
    """Exact token usage per user and period, from the rows your application already writes."""


for command in (
    demo.demo, init.init, up.up, status.status, automation.automation, doctor.doctor,
    migrate.migrate, sources.sources, backfill.backfill, usage.usage,
    restate.restate, restatements.restatements, recalc.recalc, retention.retention, sql.sql,
):  # fmt: skip
    program.add_command(command)


def run(command: click.Command = program, form: str | None = None) -> int:
    """The exit code of one verb, typed in this form; what went wrong is told in one line."""
    form = form or settings.program()
    logging.getLogger("psycopg").addHandler(logging.NullHandler())  # what it says of a lost session, we say
    try:
        code = command(prog_name=form, standalone_mode=False)
    except Missing as missing:
        refusal = _explained(missing)
        return _failed(refusal.line(form), refusal.exit_code)
    except Refusal as refusal:
        return _failed(refusal.line(form), refusal.exit_code)
    except NoArgsIsHelpError as help_page:
        click.echo(help_page.format_message())
        return help_page.exit_code
    except click.ClickException as error:
        where = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else form
        said = error.format_message().rstrip(".?")
        return _failed(f"{said}. Help: {where} --help", error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        return _failed(f"interrupted; what is committed stays. Go on: {again(form)}", refusals.INTERRUPTED)
    except BrokenPipeError:
        _abandon_output()
        return refusals.FAILED
    except OSError as error:
        _abandon_output()
        return _failed(refusals.of_system(error).line(form), refusals.FAILED)
    except UnicodeError as error:
        return _failed(f"{error}. Fix: see that it can be read and written", refusals.FAILED)
    return code if isinstance(code, int) else 0


def _explained(missing: Missing) -> Refusal:
    """What a verb missed, checked once more in a session of its own: the verb's has ended."""
    from usage_pipeline.rollups import readiness

    try:
        with session.opened(read_only=True) as (_, warehouse), readiness.explained(warehouse):
            raise missing
    except Refusal as refusal:
        return refusal


def _abandon_output() -> None:
    """What standard output does not take is not tried again at the end, where it would end in a traceback."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _failed(line: str, code: int) -> int:
    narrate(line, style="red")
    return code
