"""docs/detection.md says of every planted defect what the code says."""

import defect_document
import marked


def test_every_defect_has_its_row_and_nothing_else_stands_there():
    """What is wrong, which check must see it and by what words, group by group."""
    assert marked.part(defect_document.DOCUMENT, "defects") == defect_document.parts()["defects"], (
        "python tests/harness/defect_document.py --write"
    )


def test_writing_leaves_what_is_right_as_it_is(tmp_path):
    """The document that the code writes is the one that is there."""
    text = defect_document.DOCUMENT.read_text(encoding="utf-8")
    copy = tmp_path / "detection.md"
    copy.write_text(text.replace("| `double-claim` |", "| `other` |"), encoding="utf-8")
    assert copy.read_text(encoding="utf-8") != text

    marked.write(copy, defect_document.parts())

    assert copy.read_text(encoding="utf-8") == text
