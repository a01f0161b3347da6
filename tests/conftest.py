"""Loads pytester for the tests of the plugin; pytest takes it from no deeper folder."""

import signal

pytest_plugins = ["pytester"]


def pytest_configure():
    """Let Ctrl-C be pressed by the tests of it: a job in a shell's background ignores it.

    So would all that it starts, and those tests would wait in vain.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
