"""What calibrated tests of shift say of new rows."""
from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Verdict:
    """What calibrated tests say of new rows.

    Attributes
    ----------
    outcome : str
        ``"harmful-shift"``, ``"shifted-harm-not-established"`` or ``"no-evidence-of-harm"``.
    p_value : float
        Of the outcome: of the shift found, or of harm where none was.
    level : float
        The level; outcomes other than no evidence come with at most this probability where nothing has shifted.
    is_drift : bool
        Whether any shift was found.
    is_harmful : bool
        Whether harmful shift was found.
    threshold : float
        What `p_value` is held against: the level.
    evidence : list of dict
        Test by test: `method`, `question`, `statistics`, `p_value`, `seconds`.
    answer : dict
        The p-values of the questions: `harm`, `difference`, `overall`.
    row_scores : numpy.ndarray
        How much each row looks out of place by the first test that can tell, ``[N]``; empty where none can.
    estimate : dict or None
        The classifier's accuracy on the rows: `interval` with its `coverage` (None where it cannot be told, for the `reason` given), and what it was
        made from; None where no labels of held-out rows are known.
    harmless_change : dict or None
        Where tests of harm alarm and the outcome is "shifted" all the same: which change of P that the classifier bears explains that (`by`, "classes"
        or "features"), by how much its accuracy falls on rows so changed (`fall`), and the tests' p-value beside them (`p_value`).
    caveats : list of str
        What is to be known beside it: copies among the rows (which count once), rows that the classifier was made with.
    """

    outcome: str
    p_value: float
    level: float
    evidence: list = field(repr=False)
    answer: dict = field(repr=False)
    row_scores: np.ndarray = field(repr=False)
    estimate: dict | None = field(repr=False, default=None)
    harmless_change: dict | None = field(repr=False, default=None)
    caveats: list = field(repr=False, default_factory=list)

    @property
    def is_drift(self) -> bool:
        return self.outcome != "no-evidence-of-harm"

    @property
    def is_harmful(self) -> bool:
        return self.outcome == "harmful-shift"

    @property
    def threshold(self) -> float:
        return self.level

    def __str__(self):
        lines = [f"{self.outcome.replace('-', ' ')} (p = {self.p_value:.4f}, level {self.level})"]
        if self.estimate is not None and self.estimate["interval"] is not None:
            low, high = self.estimate["interval"]
            lines.append(f"  accuracy here: {low:.3f} to {high:.3f} ({self.estimate['accuracy_on_p']:.3f} on P)")
        lines += [f"  {e['method']:22} {e['question']:10} p = {e['p_value']:.4f}" for e in self.evidence]
        lines += [f"  {caveat}" for caveat in self.caveats]
        return "\n".join(lines)
