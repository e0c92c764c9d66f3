"""The verbs a person types: `usage-pipeline VERB`, or `python3 dev.py VERB` in a checkout.

Standard output carries data, standard error narration. A refusal is one line: what, why, and the command
that fixes it. Exit codes: 0 done, 1 failed, 2 usage, 3 attention, 4 refused for safety, 130 interrupted.
"""

import shlex
import sys
from typing import Final

import click

from usage_pipeline import refusals
from usage_pipeline.cli import backfill, demo, migrate, sources, usage
from usage_pipeline.cli.console import narrate
from usage_pipeline.refusals import Refusal

_EXAMPLES: Final = """\b
Examples:
  usage-pipeline usage tokens --user "Ada Lovelace" --from 2026-10-01
  usage-pipeline backfill tokens_daily --from yesterday --to today
"""


@click.group(
    epilog=_EXAMPLES, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="usage-pipeline", prog_name="usage-pipeline")
def program() -> None:
    """Exact token usage per user and period, from the rows your application already writes."""


for command in (demo.demo, migrate.migrate, sources.sources, backfill.backfill, usage.usage):
    program.add_command(command)


def main() -> None:
    """Run one verb; whatever goes wrong on purpose ends in one line and its exit code."""
    from usage_pipeline import settings

    form = settings.program()
    try:
        code = program(prog_name=form, standalone_mode=False)
    except Refusal as refusal:
        narrate(refusal.line(form), style="red")
        code = refusal.exit_code
    except click.exceptions.NoArgsIsHelpError as help_page:
        click.echo(help_page.format_message())
        code = help_page.exit_code
    except click.ClickException as error:
        where = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else form
        narrate(f"{error.format_message().rstrip('.')}. Help: {where} --help", style="red")
        code = error.exit_code
    except (KeyboardInterrupt, click.Abort):
        narrate(
            f"interrupted; what is committed stays. Go on: {form} {shlex.join(sys.argv[1:])}", style="red"
        )
        code = refusals.INTERRUPTED
    except BrokenPipeError:
        code = refusals.FAILED
    except (OSError, UnicodeError) as error:
        narrate(f"{error}. Fix: see that the file or folder can be read and written", style="red")
        code = refusals.FAILED
    sys.exit(code if isinstance(code, int) else 0)
