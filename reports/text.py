"""Text from databases and tests, made fit for a reader's eyes."""

import re
import shlex
import sys

# C0 and C1 control characters but tab and newline, lone surrogates, characters that reorder or
# hide what stands around them (https://www.unicode.org/reports/tr9/), and XML's non-characters.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff"
    "\ufffe\uffff\ud800-\udfff]"
)
_PLAIN_WORD = re.compile(r"[\w@%+=:,./\\-]+", re.ASCII)
_UNSAFE_IN_DOUBLE_QUOTES = re.compile(r'["$`!\n]|\\$|\\(?=[\\"$`])')


def printable(text: str) -> str:
    """Return the text with every character that cannot be shown spelled out as its code."""
    return _UNPRINTABLE.sub(_spell_out, text.replace("\r\n", "\n"))


def ascii_only(text: str) -> str:
    """Return the text in ASCII, other characters spelled out, for a terminal of any encoding."""
    return printable(text).encode("ascii", "backslashreplace").decode("ascii")


def first_line(text: str) -> str:
    """Return the first line that is not blank, or nothing."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def one_argument(text: str) -> str:
    """Return the text as one argument of a command line, for the shell of this platform.

    Double quotes where they do, since those are the same in every shell.
    """
    if _PLAIN_WORD.fullmatch(text):
        return text
    if _UNSAFE_IN_DOUBLE_QUOTES.search(text) and sys.platform != "win32":
        return shlex.quote(text)
    return f'"{text}"'


def _spell_out(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"  # noqa: PLR2004 - one byte
