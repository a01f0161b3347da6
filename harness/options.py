"""The names of a run's settings: on the command line, in the environment, in the ini file."""

from dataclasses import dataclass

from harness.limits import CONFIG_NAME


@dataclass(frozen=True, kw_only=True)
class Option:
    """One setting under its three names: ``--queue-x``, ``PYTEST_QUEUE_X`` and ini ``queue_x``."""

    name: str
    metavar: str
    help: str

    @property
    def flag(self) -> str:
        """The name on the command line."""
        return f"--queue-{self.name}"

    @property
    def ini(self) -> str:
        """The name in the ini file, which is also where pytest keeps the option."""
        return "queue_" + self.name.replace("-", "_")

    @property
    def variable(self) -> str:
        """The name in the environment."""
        return "PYTEST_" + self.ini.upper()


DB = Option(
    name="db",
    metavar="PATH",
    help="Judge this queue file, and write nothing to it. Default: a queue made for the run.",
)
BACKUP_DIR = Option(
    name="backup-dir",
    metavar="DIR",
    help="The folder with the backups of the queue under --queue-db. Default: backups/ beside it.",
)
DRIVER = Option(
    name="driver",
    metavar="CMD",
    help="Work the queues that the run makes by this program (docs/drivers.md), started with {db} "
    "and {clock_offset_ms} filled in. Default: the driver of our own core.",
)
REPORT_DIR = Option(
    name="report-dir",
    metavar="DIR",
    help="Where report.html, report.json and junit.xml go. Default: queue-report/ here.",
)
SEED = Option(
    name="seed",
    metavar="INT",
    help="Makes every random choice the same again. Default: a new seed, printed at the start.",
)
PROFILE = Option(
    name="profile",
    metavar="NAME",
    help="gate (a minute or so), nightly (up to an hour) or soak. Default: gate.",
)
MIN_CHECKS = Option(
    name="min-checks",
    metavar="N",
    help="With fewer executed checks the verdict is INCONCLUSIVE. Default: 1.",
)
CONFIG = Option(
    name="config",
    metavar="FILE",
    help=f"Take limits from this file. Default: {CONFIG_NAME} here or beside conftest.py, if any.",
)
LIMIT = Option(
    name="limit",
    metavar="NAME=WARN/FAIL",
    help="Hold the queue against this limit, as wal_mb=50/100; either side may be left empty. May "
    "be given again. Default: the file's, else the runbook's.",
)
MAX_RPO = Option(
    name="max-rpo",
    metavar="S",
    help="Fail where a restore costs more seconds of work. Default: rpo_s of the file, if any.",
)
MAX_RTO = Option(
    name="max-rto",
    metavar="S",
    help="Fail where a restore takes more seconds. Default: rto_s of the file, if any.",
)
PLANT = Option(
    name="plant",
    metavar="NAME",
    help="Judge our core with this known defect in it, which must come out red: what queuedrill "
    "selftest does for each. Default: none.",
)
OPTIONS = (
    *(DB, BACKUP_DIR, DRIVER, REPORT_DIR, SEED, PROFILE, MIN_CHECKS),
    *(CONFIG, LIMIT, MAX_RPO, MAX_RTO, PLANT),
)


def split(words: str) -> list[str]:
    """Return the words of a setting that takes several, where it is one text: by space or comma."""
    return words.replace(",", " ").split()
