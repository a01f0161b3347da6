"""What lived through all tests: a change of words, a change that is explained, or a hole."""

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

EXPLAINED = tomllib.loads((Path(__file__).parent / "explained.toml").read_text(encoding="utf-8"))
# Arguments that end in what a person reads, and nowhere else.
_WORDS = re.compile(
    r"\b(what|cure|detail|value|operation|holder|waited_s|known|path|folder|needed_mb|free_mb"
    r"|source|cause|backup|why)=|\bcure = |_log\.|InvalidArgumentError\(|Error\(|XX|f\"|message"
)

_SQL = re.compile(
    r"\b(SELECT|UPDATE|INSERT|DELETE|FROM|WHERE|CAST|PRAGMA|SET|VALUES|AND|OR|IN|ON|ORDER|GROUP"
    r"|CREATE|DROP|WITH|BEGIN|COMMIT|ROLLBACK|ANALYZE|VACUUM|ATTACH|DETACH|CASE|WHEN|NULL|JOIN"
    r"|LIMIT|UNION|EXISTS|NOT|INTO|TABLE|INDEX)\b"
)
_QUOTED = re.compile(r"'[^']*'")
_CODEC = re.compile(r"\butf-8\b", re.IGNORECASE)
_NAMED = re.compile(r"(\bcheck_\w+\()\s*(?:\"[^\"]*\"|None)")
_SENTENCE = re.compile(r'"[A-Z][^"]* [^"]*[.:]"')
_ASSERTED = re.compile(r"(\bassert .*), \"[^\"]*\"$")


@dataclass(frozen=True)
class Survivor:
    """A mutant that no test has killed.

    Attributes:
        name: as mutmut has it; it ends with a number that moves when the function changes.
        removed: the lines that the mutant lacks.
        added: the lines that it has instead.
    """

    name: str
    removed: tuple[str, ...]
    added: tuple[str, ...]

    @property
    def function(self) -> str:
        """Module and function, in a form that stays."""
        plain = self.name.replace("ǁ", ".").rpartition("__mutmut_")[0]
        return re.sub(r"\.x_?\.?(?=\w|_)", ".", plain).removeprefix("core.")

    @property
    def change(self) -> str:
        """What was changed, in one line."""
        return f"{' '.join(self.removed)} -> {' '.join(self.added) or 'nothing'}"

    def reason(self) -> str | None:
        """Return why it may live, or None for a hole in the tests."""
        for each in EXPLAINED.get("survivor", ()):
            if each["function"] == self.function and each["change"] in self.change:
                return str(each["reason"])
        told = [line for line in self.removed if line.strip("(),")]
        if told and all(_WORDS.search(line) for line in told):
            return "words that a person reads"
        return _meaningless(" ".join(self.removed), " ".join(self.added))


def _meaningless(removed: str, added: str) -> str | None:
    """Return why the change says the same as before, or None where it does not."""
    for each in (_NAMED, _ASSERTED):
        if each.sub(r"\1", removed) == each.sub(r"\1", added):
            return "words that a person reads"
    if any(_around(found, removed, added) for found in _SENTENCE.finditer(removed)):
        return "words that a person reads"
    if _CODEC.sub("utf-8", removed) == _CODEC.sub("utf-8", added):
        return "the name of a codec knows no capitals"
    same = removed.lower() == added.lower() and _QUOTED.findall(removed) == _QUOTED.findall(added)
    return "a word of SQL knows no capitals" if same and _SQL.search(removed) else None


def _around(sentence: re.Match[str], removed: str, added: str) -> bool:
    """Return whether nothing but the sentence was changed, and that is no SQL."""
    before, after = removed[: sentence.start()], removed[sentence.end() :]
    same = added.startswith(before) and added.endswith(after)
    return same and not _SQL.search(sentence[0])


def from_diff(name: str, diff: str) -> Survivor:
    """Return the survivor of a unified diff."""
    lines = diff.splitlines()
    return Survivor(name, tuple(_of(lines, "-")), tuple(_of(lines, "+")))


def _of(lines: Iterable[str], sign: str) -> list[str]:
    return [
        line[1:].strip()
        for line in lines
        if line.startswith(sign) and not line.startswith(sign * 3) and line[1:].strip()
    ]
