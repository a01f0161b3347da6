"""A program that runs another one on a small disk of its own, which is gone when that ends.

The disk is in memory, and only this process and its children see it (``man 7 mount_namespaces``).
"""

import os
import sys

DISK_BYTES = 8 << 20
# $0 is Python, $1 the disk; then come the program, its folder, and what else it is given.
_ON_IT = (
    f'mount -t tmpfs -o size={DISK_BYTES} tmpfs "$1" && shift && mkdir "$2" '
    '&& exec "$0" -X utf8 "$@"'
)


def main(arguments: list[str]) -> None:
    """Become the program, with the folder on the small disk."""
    unshared = ["unshare", "--map-root-user", "--mount"]
    words = [*unshared, "sh", "-c", _ON_IT, sys.executable, *arguments]
    # What is to be run is what the one who starts this says, and there is no other way to run it.
    os.execvp(words[0], words)  # noqa: S606 - see above


if __name__ == "__main__":
    main(sys.argv[1:])
