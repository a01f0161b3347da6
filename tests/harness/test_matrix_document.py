"""docs/corruption-matrix.md shows the matrix as the table of the code has it."""

import marked
import matrix_document
import pytest

from harness.damage.cells import cells
from harness.damage.expected import expected
from harness.damage.salvaged import salvaged


@pytest.mark.parametrize(
    "name", ["score", "cells", "salvaged", "blind", "damages", "left out", "measured"]
)
def test_what_the_table_says_stands_there_and_nothing_else(name):
    """Every cell with who sees it, the blind ones by name, and why others make no sense."""
    assert marked.part(matrix_document.DOCUMENT, name) == matrix_document.parts()[name], (
        "python tests/harness/matrix_document.py --write"
    )


def test_every_damaged_queue_was_salvaged():
    """No cell is left out of the figures: the worst ones are what they are for."""
    of_queues = {name for name, cell in cells().items() if not cell.region.of_backup}

    assert set(salvaged()) == of_queues
    assert all(row.tasks for row in salvaged().values())


def test_blind_cells_are_not_hidden():
    """Each is in the list of its own, and stands out in its row."""
    names = [name for name, row in expected().items() if row.blind]
    listed = " ".join(matrix_document.blind())

    assert names
    assert all(f"`{name}`" in listed for name in names)
    assert sum("BLIND" in line for line in matrix_document.matrix()) == len(names)


def test_writing_leaves_what_is_right_as_it_is(tmp_path):
    """The document that the code writes is the one that is there."""
    text = matrix_document.DOCUMENT.read_text(encoding="utf-8")
    copy = tmp_path / "corruption-matrix.md"
    copy.write_text(text.replace("| `header/magic` |", "| `other` |"), encoding="utf-8")
    assert copy.read_text(encoding="utf-8") != text

    marked.write(copy, matrix_document.parts())

    assert copy.read_text(encoding="utf-8") == text
