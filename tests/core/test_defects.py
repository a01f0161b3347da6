"""Which versions of SQLite are known to have a defect."""

import pytest

from core.defects import wal_reset_defect


@pytest.mark.parametrize(
    ("version", "affected"),
    [
        ((3, 6, 23), False),
        ((3, 7, 0), True),
        ((3, 40, 1), True),
        ((3, 44, 5), True),
        ((3, 44, 6), False),
        ((3, 44, 9), False),
        ((3, 45, 0), True),
        ((3, 50, 6), True),
        ((3, 50, 7), False),
        ((3, 50, 99), False),
        ((3, 51, 0), True),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((3, 53, 1), False),
        ((4, 0, 0), False),
    ],
)
def test_wal_reset_defect_is_told_at_both_sides_of_every_limit(version, affected):
    """Each version on either side of a limit is told as affected or not."""
    assert wal_reset_defect(version) is affected


def test_fourth_number_of_a_version_changes_nothing():
    """A patched build of a fixed release is not taken for an affected one."""
    assert wal_reset_defect((3, 51, 3, 1)) is False
    assert wal_reset_defect((3, 51, 2, 1)) is True
