"""What a planted defect is: one small part of the core or of its driver, made wrong on purpose."""

import contextlib
import functools
import importlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from harness.inherited import PLANTED_VARIABLE
from harness.profile import Profile


@dataclass(frozen=True)
class Change:
    """One part replaced by a wrong one.

    A name that a module imported from another is a part of the module that uses it.

    Attributes:
        module: where it is, for example ``core.tasks``.
        name: of the part in it, with a dot for one of a class: ``TaskQueue.claim``.
        make: given the right part, returns the wrong one.
    """

    module: str
    name: str
    make: Callable[[Any], Any]

    def where(self) -> tuple[Any, str]:
        """Return what holds the part, and its name there.

        Raises:
            AttributeError: there is no such part.
        """
        *path, last = self.name.split(".")
        holder = functools.reduce(getattr, path, importlib.import_module(self.module))
        getattr(holder, last)
        return holder, last


@dataclass(frozen=True)
class Catch:
    """Who must see a defect.

    Attributes:
        scenario: a file below ``scenarios/``, one of its tests, or one check of that, as pytest
            is given it; where there are several checks, one of them is enough.
        says: what that check says in its failure: a checker's name, or words of its sentence.
    """

    scenario: str
    says: str


@dataclass(frozen=True, kw_only=True)
class Defect:
    """A queue that is wrong in one known way.

    Attributes:
        name: kebab-case, stable.
        group: claiming, leases, durability, disk, backup, restore, retention,
            maintenance, salvage or hostile.
        wrong: what it does wrong, and to whom that happens.
        changes: what is replaced; more than one where one mistake has two places.
        catches: who must see it; each of them must.
        profile: the least profile in which it can be seen.
    """

    name: str
    group: str
    wrong: str
    changes: tuple[Change, ...]
    catches: tuple[Catch, ...]
    profile: Profile = Profile.GATE


@contextlib.contextmanager
def planted(defect: Defect) -> Iterator[None]:
    """Have the defect in this process for the body, and in the children that it starts."""
    with contextlib.ExitStack() as undo:
        for change in defect.changes:
            holder, name = change.where()
            own = vars(holder)[name]
            undo.callback(setattr, holder, name, own)
            right = own.__func__ if isinstance(own, classmethod | staticmethod) else own
            wrong = change.make(right)
            setattr(holder, name, type(own)(wrong) if right is not own else wrong)
        before = os.environ.get(PLANTED_VARIABLE)
        os.environ[PLANTED_VARIABLE] = defect.name
        undo.callback(_restore, before)
        yield


def _restore(before: str | None) -> None:
    if before is None:
        del os.environ[PLANTED_VARIABLE]
    else:
        os.environ[PLANTED_VARIABLE] = before
