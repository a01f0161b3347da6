"""The part of docs/drivers.md that the table of operations decides, as it has to stand there."""

from harness.drivers.fields import Field, Kind
from harness.drivers.operations import CAPABILITIES, OPERATIONS, OUTCOMES, TASK, Operation
from harness.drivers.protocol import ErrorCode


def holds(field: Field) -> str:
    """Say what a field holds, in the document's words."""
    words = field.kind.value
    if field.choices:
        kind = "list of" if field.kind is Kind.TEXTS else "one of"
        words = f"{kind} " + ", ".join(f"`{choice}`" for choice in field.choices)
    if field.least is not None:
        words += f", at least {field.least:g}"
    if field.parts == TASK:
        words = "a task"
    if field.null:
        words += ", or null"
    if not field.needed:
        words += "; may be left out"
    return words


def rows(fields: tuple[Field, ...], first: str = "") -> list[str]:
    """Return the rows of a table of fields."""
    start = f"| {first} " if first else ""
    return [f"{start}| `{field.name}` | {holds(field)} | {field.meaning} |" for field in fields]


def facts(operation: Operation) -> str:
    """Return the line of facts under an operation's heading."""
    declared = f"Only if `{operation.needs}` is declared. " if operation.needs else ""
    errors = ", ".join(f"`{code}`" for code in operation.errors)
    return f"{declared}Deadline {operation.deadline_s:g} s. Errors: {errors}."


def section(operation: Operation) -> list[str]:
    """Return the lines that an operation's section has to hold, in this order."""
    lines = [operation.meaning, facts(operation)]
    inside = next((f.parts for f in operation.answer if f.name == "tasks"), ())
    return [
        *lines,
        *rows(operation.request, "request"),
        *rows(operation.answer, "answer"),
        *rows(inside, "each task"),
    ]


def errors() -> list[str]:
    """Return the start of the row of each error."""
    return [f"| `{code}` | {' or '.join(f'`{o}`' for o in OUTCOMES[code])} |" for code in ErrorCode]


def task() -> list[str]:
    """Return the rows of the table of a task."""
    return rows(TASK)


def capabilities() -> list[str]:
    """Return the rows of the table of capabilities."""
    return rows(CAPABILITIES)


if __name__ == "__main__":
    for each in OPERATIONS.values():
        print(f"### {each.name}\n")
        print("\n".join(section(each)), "\n")
    print("\n".join([*task(), "", *capabilities(), "", *errors()]))
