"""Kills a process of its own at its n-th step, for n = 1, 2, 3 … until it ends untouched.

A step is whatever changes or opens a file below a folder (seen by Python's audit hook before it
happens), every statement given to SQLite, and every step of a copy.
"""

import os
import shutil

ZYGOTE = """
import os, signal, sqlite3, traceback
from core import QueueBackup, observer

# The look from outside, taken in this process: it has no connection then, and is about to die.
def look(database, *, timeout_s=0):
    facts = observer._look(database)
    walk = facts["walk"] and observer._walk_from(facts["walk"])
    return observer.Seen(facts["held"], (), walk, facts["journal"])

observer.look = look
ROOT = argv[0]
FATAL = getattr(signal, "SIGKILL", signal.SIGTERM)
EVENTS = {"open", "os.rename", "os.remove", "os.link", "os.mkdir", "os.rmdir", "os.chmod",
          "os.chown", "os.truncate", "sqlite3.connect", "shutil.rmtree", "subprocess.Popen"}
steps, fatal_step = 0, None

def step():
    global steps
    steps += 1
    if steps == fatal_step:
        os.kill(os.getpid(), FATAL)

def hook(event, arguments):
    if fatal_step is not None and event in EVENTS:
        if event == "subprocess.Popen" or ROOT in os.fsdecode(str(arguments[0])):
            step()

class Counted(sqlite3.Connection):
    def execute(self, *arguments):
        step()
        return super().execute(*arguments)
    def backup(self, target, *, progress=None, **settings):
        def after(*facts):
            step()
            if progress is not None:
                progress(*facts)
        super().backup(target, progress=after, **settings)
        step()
    def close(self):
        step()
        super().close()

def connect(uri, *, timeout_s):
    return sqlite3.connect(uri, uri=True, timeout=timeout_s, isolation_level=None, factory=Counted,
                           check_same_thread=False)

def run(verb):
    sys.addaudithook(hook)
    eval(verb, {"backup": QueueBackup(os.path.join(ROOT, "queue.db"), connect=connect)})

FAILED = 1

if len(argv) > 1:
    fatal_step = int(argv[1])
    run(argv[2])
    sys.exit(0)

while line := sys.stdin.readline().strip():
    number, verb = line.split(" ", 1)
    pid = os.fork()
    if pid == 0:
        try:
            fatal_step = int(number)
            run(verb)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(FAILED)
    say(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
FAILED = 1


class Sweep:
    """Runs one verb over and over on the same files, killed one step later each time.

    Args:
        spawn: the fixture that starts children.
        folder: holds the queue and all that belongs to it; put back before every run.
        verb: a Python expression over ``backup``.
    """

    def __init__(self, spawn, folder, verb):
        self._folder = folder
        self._kept = folder.with_name(folder.name + "-kept")
        shutil.copytree(folder, self._kept, symlinks=True)
        self._verb = verb
        self._spawn = spawn
        # One process that forks is quick; where there is no fork, every run starts anew.
        self._zygote = spawn(ZYGOTE, folder) if hasattr(os, "fork") else None
        self.points = 0

    def __iter__(self):
        """Yield the number of each step at which the process died; end when none was left."""
        while True:
            self._put_back()
            status = self._run(self.points + 1)
            if status == 0:
                return
            assert status != FAILED, "the verb failed by itself"
            self.points += 1
            yield self.points

    def _run(self, number):
        if self._zygote is None:
            return self._spawn(ZYGOTE, self._folder, number, self._verb).finish()
        self._zygote.process.stdin.write(f"{number} {self._verb}\n")
        self._zygote.process.stdin.flush()
        return int(self._zygote.hear())

    def _put_back(self):
        shutil.rmtree(self._folder)
        shutil.copytree(self._kept, self._folder, symlinks=True)
