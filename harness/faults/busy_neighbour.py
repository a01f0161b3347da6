"""A program that uses all of a processor until its input ends."""

import sys
import threading


def main() -> None:
    """Count for nothing."""
    told = threading.Event()
    threading.Thread(target=_listen, args=(told,), daemon=True).start()
    sys.stdout.write("busy\n")
    sys.stdout.flush()
    while not told.is_set():
        sum(range(20_000))


def _listen(told: threading.Event) -> None:
    sys.stdin.read()
    told.set()


if __name__ == "__main__":
    main()
