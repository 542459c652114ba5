"""What lies between scores and claims: distances of distributions, separation, units, intervals."""

import numpy as np

from ..errors import InputError


def auc(positive: np.ndarray, negative: np.ndarray) -> float:
    """Area under the ROC curve, 0..1: how often a value of ``positive`` [N] exceeds one of ``negative`` [M].

    P(p > n) + P(p = n) / 2, the Mann-Whitney U over N M; 0.5 = not told apart.

    Raises:
        InputError: one of them is empty.
    """
    positive, negative = np.asarray(positive, float), np.asarray(negative, float)
    if not positive.size or not negative.size:
        raise InputError(f"auc: expected values on both sides, got {positive.size} and {negative.size}.")
    ordered = np.sort(negative)
    below, upto = np.searchsorted(ordered, positive, "left"), np.searchsorted(ordered, positive, "right")
    return float((below + upto).mean() / (2 * len(ordered)))


def in_gap_units(distance: float, same: float, stranger: float) -> float:
    """``(distance - same) / (stranger - same)``: 0 = as near as pictures of one person usually are, 1 = a stranger.

    The unit in which issue-sized claims about identity are made: a margin means the same with any network.

    Raises:
        InputError: strangers are not farther apart than pictures of one person, so that there is no unit.
    """
    if not stranger > same:
        raise InputError(f"stranger: expected a larger distance than same = {same:.4g}, got {stranger:.4g}.")
    return (distance - same) / (stranger - same)


def frechet_distance(features: np.ndarray, others: np.ndarray) -> float:
    """Frechet distance of two samples of features [N, D] and [M, D], each taken as Gaussian; 0 = same moments.

    ``|m1 - m2|^2 + tr(C1 + C2 - 2 (C1^1/2 C2 C1^1/2)^1/2)`` (Dowson and Landau 1982; Heusel et al. 2017,
    arXiv 1706.08500, on Inception features). On other features it is another number: name the features with it. It
    falls with the sample size, so compare only at equal N.

    Raises:
        InputError: fewer than two rows on a side, or different D.
    """
    a, b = np.asarray(features, np.float64), np.asarray(others, np.float64)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise InputError(f"features: expected [N, D] and [M, D] with N, M >= 2, got {list(a.shape)}, {list(b.shape)}.")
    cov_a, cov_b = (np.atleast_2d(np.cov(x, rowvar=False)) for x in (a, b))
    values, vectors = np.linalg.eigh(cov_a)
    root = vectors * np.sqrt(np.clip(values, 0, None)) @ vectors.T
    cross = np.sqrt(np.clip(np.linalg.eigvalsh(root @ cov_b @ root), 0, None)).sum()
    total = np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(cov_a) + np.trace(cov_b) - 2 * cross
    return float(max(total, 0.0))


def paired_interval(
    ours: np.ndarray, theirs: np.ndarray, *, level: float = 0.95, draws: int = 10_000, seed: int = 0
) -> tuple[float, float, float]:
    """Mean of ``ours - theirs`` over paired clips [N], and its percentile bootstrap interval: (mean, low, high).

    Pairs are drawn together, N with replacement, ``draws`` times (Efron and Tibshirani 1993, ch. 13): both arms share
    prompt, seed and noise, so the difference of a pair is what varies.

    Raises:
        InputError: unequal lengths, fewer than two pairs, or a level outside 0..1.
    """
    ours, theirs = np.asarray(ours, float), np.asarray(theirs, float)
    if ours.shape != theirs.shape or ours.ndim != 1 or len(ours) < 2:
        raise InputError(f"ours: expected [N] like theirs, N >= 2, got {list(ours.shape)} and {list(theirs.shape)}.")
    if not 0 < level < 1:
        raise InputError(f"level: expected a share between 0 and 1, got {level}.")
    difference = ours - theirs
    pick = np.random.default_rng(seed).integers(0, len(difference), (draws, len(difference)))
    means = difference[pick].mean(1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(difference.mean()), float(low), float(high)


def mean_pair_distance(features: np.ndarray) -> float:
    """Mean Euclidean distance over all pairs of rows of [N, D], N >= 2: how diverse a set of pictures is."""
    if features.ndim != 2 or len(features) < 2:
        raise InputError(f"features: expected [N, D] with N >= 2, got {list(features.shape)}.")
    from scipy.spatial.distance import pdist

    return float(pdist(features.astype(np.float64)).mean())


def nearest_distances(features: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Euclidean distance [N] of each row of [N, D] to the nearest of ``others`` [M, D].

    Much smaller for generated than for held-out pictures: the model repeats what it was trained on.
    """
    from scipy.spatial import cKDTree

    return cKDTree(others.astype(np.float64)).query(features.astype(np.float64))[0]
