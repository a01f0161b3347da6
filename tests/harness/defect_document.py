"""The part of docs/detection.md that the code decides, as it has to stand there.

``python tests/harness/defect_document.py`` prints it, with ``--write`` it is put there.
"""

import sys
from pathlib import Path

import marked
from marked import line

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from harness.planted import DEFECTS, Defect  # noqa: E402 - found from wherever this is run
from harness.profile import Profile  # noqa: E402

DOCUMENT = ROOT / "docs" / "detection.md"
TITLES = ("defect", "what is wrong", "must be seen by", "which says")


def parts() -> dict[str, list[str]]:
    """Return the lines between the marks of the document, by their names."""
    lines = [f"{len(DEFECTS)} defects are planted."]
    for group in dict.fromkeys(defect.group for defect in DEFECTS.values()):
        lines += ["", f"### {group.capitalize()}", "", line(TITLES), "|---" * len(TITLES) + "|"]
        lines += [row(defect) for defect in DEFECTS.values() if defect.group == group]
    return {"defects": lines}


def row(defect: Defect) -> str:
    """Return the row of a defect: the checks that must see it, and the words that they say."""
    name = f"`{defect.name}`" + ("" if defect.profile is Profile.GATE else " (nightly)")
    checks = dict.fromkeys(f"`{catch.scenario.removeprefix('test_')}`" for catch in defect.catches)
    words = dict.fromkeys(catch.says for catch in defect.catches)
    return line((name, defect.wrong, "<br>".join(checks), "<br>".join(words)))


if __name__ == "__main__":
    if "--write" in sys.argv:
        marked.write(DOCUMENT, parts())
    for lines in parts().values():
        print(*lines, "", sep="\n")
