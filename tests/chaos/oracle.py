"""What must hold of a disturbed campaign, as an assertion."""

from pathlib import Path

from semihand.proof.oracle import violations


def check_same(campaign: Path, undisturbed: Path) -> None:
    """Raise an AssertionError that says what is lost, doubled, different, damaged or left behind."""
    found = violations(campaign, undisturbed)
    assert not found, "\n".join(found)
