"""What EXPLAIN and EXPLAIN QUERY PLAN give, as a listing and as a tree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from . import values
from .formats import Row, Write

PLAN_COLUMNS = ["id", "parent", "notused", "detail"]
PROGRAM_COLUMNS = ["addr", "opcode", "p1", "p2", "p3", "p4", "p5", "comment"]

_WIDTHS = [4, 13, 4, 4, 4, 13, 2, 13]

# Opcodes that end a loop which begins where they jump to, and those that such a loop may begin with
# when a Goto ends it.
_LOOP_ENDS = {"Next", "Prev", "VPrev", "VNext", "SorterNext"}
_LOOP_BEGINNINGS = {"Yield", "SeekLT", "SeekGT", "RowSetRead", "Rewind"}


class PlanWriter:
    """EXPLAIN QUERY PLAN as a tree. See formats.Writer."""

    def __init__(self, write: Write) -> None:
        self.write = write
        self.children: dict[int, list[tuple[int, str]]] = {}

    def rows(self, rows: Sequence[Row]) -> None:
        """See Writer."""
        for identity, parent, _, detail in rows:
            self.children.setdefault(parent, []).append((identity, detail))

    def end(self) -> None:
        """See Writer."""
        if self.children:
            self.write("QUERY PLAN\n" + "".join(self.lines(0, "")))

    def lines(self, parent: int, indent: str) -> list[str]:
        """Return what stands below a node."""
        found = []
        children = self.children.get(parent, [])
        for number, (identity, detail) in enumerate(children, 1):
            last = number == len(children)
            found.append(f"{indent}{'`--' if last else '|--'}{detail}\n")
            found += self.lines(identity, indent + ("   " if last else "|  "))
        return found


class ProgramWriter:
    """EXPLAIN as a listing in which loops are indented. See formats.Writer."""

    def __init__(self, write: Write) -> None:
        self.write = write
        self.program: list[Row] = []

    def rows(self, rows: Sequence[Row]) -> None:
        """See Writer."""
        self.program += rows

    def end(self) -> None:
        """See Writer."""
        if not self.program:
            return
        lines = [PROGRAM_COLUMNS, ["-" * width for width in _WIDTHS]]
        for row, depth in zip(self.program, self.depths()):
            fields = [values.plain(value) for value in row]
            fields[1] = "  " * depth + values.padded(fields[1], _WIDTHS[1])
            lines.append(fields)
        self.write("".join(map(self.line, lines)))

    def line(self, fields: Sequence[str]) -> str:
        """Return one line."""
        cells = [values.padded(field, width) for field, width in zip(fields, _WIDTHS)]
        return "  ".join([*cells[:-1], fields[-1]]) + "\n"

    def depths(self) -> list[int]:
        """Return in how many loops each instruction stands."""
        depths = [0] * len(self.program)
        for address, row in enumerate(self.program):
            target = self.target(row, address)
            if target is None:
                continue
            for inside in range(target, address):
                depths[inside] += 1
        return depths

    def target(self, row: Row, address: int) -> int | None:
        """Return where the loop begins that this instruction ends; None: it ends none."""
        opcode: str = row[1]
        target: Any = row[3]
        if opcode in _LOOP_ENDS:
            return int(target)
        if (
            opcode == "Goto"
            and target < address
            and (self.program[target][1] in _LOOP_BEGINNINGS or row[2])
        ):
            return int(target)
        return None
