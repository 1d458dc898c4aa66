"""What a compilation finds: problems, which stop it at its end, and notes, which do not."""

from dataclasses import dataclass, field

from gateway.errors import Problem
from gateway.toml_file import Places
from gateway.toml_lines import Step


@dataclass(frozen=True, slots=True)
class Findings:
    """Collected all the way, because people want to see all of them at once."""

    places: Places
    problems: list[Problem] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)

    def report(self, code: str, detail: str, *steps: Step) -> None:
        """A problem; once, where many fields share one value."""
        problem = self.places.problem(code, detail, *steps)
        if problem not in self.problems:
            self.problems.append(problem)

    def note(self, code: str, detail: str, *steps: Step) -> None:
        """Something one should know but need not change."""
        note = self.places.problem(code, detail, *steps)
        if note not in self.notes:
            self.notes.append(note)
