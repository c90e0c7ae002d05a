"""scikit-learn: its classifiers under the detector, and the detector as one of its estimators."""
import numpy as np
import pytest
import thalweg as tw

pytest.importorskip("sklearn")
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression


def test_classifiers_of_scikit_learn(digits, rng):
    flat = lambda x: x.reshape(len(x), -1)
    f = LogisticRegression(max_iter=200).fit(flat(digits.train.x), digits.train.y)
    det = tw.shift.Detector.calibrate(f, flat(digits.test.x[:300]), null=99)
    assert det.record["probabilities"]
    assert not det.test(flat(digits.test.x[300:320])).is_drift
    assert det.test(flat(digits.validation.x[digits.validation.y == 1])).is_drift
    assert clone(det).get_params()["null"] == 99
    # Labels by the names that the estimator has for them.
    names = np.array(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])
    g = LogisticRegression(max_iter=200).fit(flat(digits.train.x), names[digits.train.y])
    det = tw.shift.Detector.calibrate(g, flat(digits.test.x[:300]), names[digits.test.y[:300]], null=99)
    estimate = det.test(flat(digits.test.x[300:320])).estimate
    held = estimate["accuracy_on_p"]
    assert abs(held - g.score(flat(digits.test.x[:300]), names[digits.test.y[:300]])) < 0.05
    with pytest.raises(ValueError, match="classes of the classifier.*found ten"):
        tw.shift.Detector.calibrate(g, flat(digits.test.x[:300]), ["ten"] * 300, null=99)
    with pytest.raises(TypeError, match="class LogisticRegression"):
        tw.shift.Detector.calibrate(LogisticRegression, flat(digits.test.x[:300]))
