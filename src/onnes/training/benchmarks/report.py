"""The result of a benchmark: rows of numbers that print as Markdown."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Benchmark:
    """A table and what was learned from it.

    Attributes
    ----------
    title
        First line.
    columns
        Names with units.
    rows
        Text cells.
    notes
        Conditions: split, number of rows, seeds, machine.
    values
        The numbers for machines.
    """

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    notes: list[str] = field(default_factory=list)
    values: dict[str, float] = field(default_factory=dict)

    def markdown(self) -> str:
        """Render as a Markdown table with notes."""
        lines = [f"### {self.title}", "", "| " + " | ".join(self.columns) + " |", "|" + "---|" * len(self.columns)]
        lines += ["| " + " | ".join(row) + " |" for row in self.rows]
        lines += ["", *(f"* {note}" for note in self.notes)]
        return "\n".join(lines) + "\n"
