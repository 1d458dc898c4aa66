"""gateway.config.findings: problems and notes with their places."""

from gateway.config.findings import Findings
from gateway.errors import Problem
from gateway.toml_file import Places


def test_one_problem_of_many_fields_is_told_once() -> None:
    """Sixty fields share one `every`: that is one problem; notes stop nothing."""
    findings = Findings(Places("f", {("device",): 3}))
    for _ in range(3):
        findings.report("impossible_period", "1 ms", "device", 0, "every")
    findings.note("unstable_port", "x", "device")
    assert findings.problems == [Problem("f", 3, "device[0].every", "impossible_period", "1 ms")]
    assert findings.notes == [Problem("f", 3, "device", "unstable_port", "x")]
