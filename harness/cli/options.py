"""The options that verbs share, declared once.

Paths are taken as text and not as ``Path``, which would turn an empty one into the working
directory.
"""

from typing import Annotated

import typer

Db = Annotated[
    str | None,
    typer.Option(
        "--db",
        metavar="PATH",
        show_default=False,
        help="The queue's file; else PRISMQ_QUEUE_DB_PATH, else the platform's default.",
    ),
]
BackupDir = Annotated[
    str | None,
    typer.Option(
        "--backup-dir",
        metavar="DIR",
        show_default=False,
        help="Where backups lie; else 'backups' beside the database.",
    ),
]
Declare = Annotated[
    list[str] | None,
    typer.Option(
        "--declare",
        metavar="NAME",
        show_default=False,
        help="A trigger, table or index that belongs in the queue though no queue has it.",
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="One JSON object on stdout, everything else on stderr.")
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done; do nothing.")]
