"""Reference of FidelityMetric with SciPy, scikit-learn and NumPy."""

import numpy as np
from scipy.special import log_softmax, rel_entr, softmax
from scipy.stats import spearmanr
from sklearn.calibration import calibration_curve
from sklearn.metrics import accuracy_score


def calibration_error(logits, label, bins=15):
    p = softmax(logits, -1)
    confidence, correct = p.max(-1), p.argmax(-1) == label
    accuracy, mean_confidence = calibration_curve(correct, confidence, n_bins=bins)
    # It leaves empty bins out.
    inside = np.histogram(confidence, bins, (0, 1))[0]
    weight = inside[inside > 0] / len(confidence)
    return float(np.sum(weight * np.abs(accuracy - mean_confidence)))


def fidelity(student, teacher, label, threshold=1e-3, bins=15):
    """Metrics of the logits (P, C) and labels (P,) of all positions."""
    q, p = softmax(student, -1), softmax(teacher, -1)
    error = np.abs(log_softmax(student, -1) - log_softmax(teacher, -1))
    pairs = list(zip(student, teacher, strict=True))
    ranked = [(s, t) for s, t in pairs if np.ptp(s) and np.ptp(t)]
    spread = np.ptp(teacher, -1) > 0
    ratio = student[spread].std(-1, ddof=1) / teacher[spread].std(-1, ddof=1)
    return {
        'agreement': accuracy_score(p.argmax(-1), q.argmax(-1)),
        'forward_kl': rel_entr(p, q).sum(-1).mean(),
        'reverse_kl': rel_entr(q, p).sum(-1).mean(),
        'rank_correlation': np.mean([spearmanr(s, t).statistic for s, t in ranked]),
        'small_probability_error': error[p < threshold].mean(),
        'std_ratio': ratio.mean(),
        'ece': calibration_error(student, label, bins),
        'teacher_ece': calibration_error(teacher, label, bins),
    }
