"""The app: its verbs, and what ``queuedrill`` itself answers."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from . import exits
from .console import write_line
from .verbs import (
    analyze,
    archive,
    backup,
    checkpoint,
    content,
    driver,
    enable_wal,
    health,
    init,
    integrity,
    leases,
    listing,
    maintain,
    prune,
    restore,
    salvage,
    selftest,
    stats,
    vacuum,
    verify,
)

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Backups, restores, maintenance and health of a task queue kept in an SQLite file.",
)


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Answer what is asked without a verb."""
    if version:
        write_line(sys.stdout, f"queuedrill {_version()}")
        raise typer.Exit(exits.DONE)
    if context.invoked_subcommand is None:
        sys.stderr.write(context.get_help() + "\n")
        raise typer.Exit(exits.USAGE)


app.command("init")(init.init)
app.command("backup")(backup.backup)
app.command("verify")(verify.verify)
app.command("list")(listing.list_backups)
app.command("restore")(restore.restore)
app.command("salvage")(salvage.salvage)
app.command("prune")(prune.prune)
app.command("leases")(leases.leases)
app.command("health")(health.health)
app.command("maintain")(maintain.maintain)
app.command("checkpoint")(checkpoint.checkpoint)
app.command("vacuum")(vacuum.vacuum)
app.command("analyze")(analyze.analyze)
app.command("integrity")(integrity.integrity)
app.command("content")(content.content)
app.command("archive")(archive.archive)
app.command("enable-wal")(enable_wal.enable_wal)
app.command("stats")(stats.stats)
app.command("selftest")(selftest.selftest)
app.add_typer(driver.driver)


def _version() -> str:
    # The project runs from its checkout and in no other way; what is declared there is the truth.
    import tomllib

    declared = Path(__file__).parents[2] / "pyproject.toml"
    return str(tomllib.loads(declared.read_text(encoding="utf-8"))["project"]["version"])
