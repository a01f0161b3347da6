"""Drivers that are odd in one thing which the document allows: the check has to pass them."""
# ruff: noqa: D102 - an oddity is told in its body

import os
import sys
from types import SimpleNamespace

from lies import ODDITIES, Lie


def odd(kind):
    """Enter a right driver into the table."""
    ODDITIES[kind.__name__.lower()] = kind
    return kind


@odd
class Hasty(Lie):
    """Does not close its file at the end of its input, as a program that just exits."""

    answering = False

    def answer(self, request):
        self.answering = True
        answer = super().answer(request)
        self.answering = False
        return answer

    def close(self):
        if not self.answering:
            os._exit(0)
        super().close()


class TextMode:
    """Output as a C program on Windows has it."""

    def __init__(self, stream):
        self.stream = stream

    def write(self, line):
        self.stream.write(line.replace(b"\n", b"\r\n"))

    def flush(self):
        self.stream.flush()


@odd
class Windows(Lie):
    """Ends its lines by CR and LF."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        stream = TextMode(sys.stdout.buffer)
        sys.stdout = SimpleNamespace(buffer=stream, flush=stream.flush)


@odd
class Talkative(Lie):
    """Says a lot on standard error, and more in its answers than it is asked."""

    def answer(self, request):
        sys.stderr.write("word " * 20_000)
        return {"said": [{"more": None}], **super().answer(request)}
