"""Votes that count instead of averaging: one vote of each member for a class, or its ranks of all classes.

Counts tie often: four members on 22 % of the images where they err independently. So a trace of the mean probability is
added to them, and the likeliest class of the result is the one that wins, also for a program that knows no more than it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ensembles.voting.means import Tables, mean_of

TIE_SHARE = 1e-9
"""Weight of the mean probability beside counts, smaller than the difference of any two counts. Means equal to 1e-7 still tie."""

Counted = tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]
"""Probabilities, float64 (images, classes), and predicted classes, int64 (images,)."""


def plurality(tables: Tables) -> Counted:
    """Each member has one vote for its likeliest class; the most votes win.

    Of equals the class with the higher mean probability wins, then the lower number. Probabilities are shares of votes.
    """
    return _break_ties(_count_votes(tables) / len(tables), mean_of(tables), TIE_SHARE)


def majority(tables: Tables) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], int]:
    """As `plurality`, but only more than half of the votes win; else the mean probability decides.

    Then probabilities are those means. The third value is the number of images decided by the mean.
    """
    votes, mean = _count_votes(tables), mean_of(tables)
    won = 2 * votes.max(1) > len(tables)
    probabilities = np.where(won[:, None], votes / len(tables), mean)
    return probabilities, probabilities.argmax(1), int(np.count_nonzero(~won))


def mean_rank(tables: Tables) -> Counted:
    """Each member ranks the classes, and the best mean rank wins (Borda 1784; Ho, Hull and Srihari 1994).

    A class has a point of each member for every class that it beats, and half a point for every one that it equals.
    Probabilities are shares of all points: they order the classes, but say little of how sure anyone is, as the winner of
    three classes has 2/3 at most. Of equals the class with the higher mean probability wins, then the lower number.
    """
    classes = tables[0].shape[1]
    if classes == 1:
        return np.ones(tables[0].shape), np.zeros(len(tables[0]), np.int64)
    points = np.zeros(tables[0].shape)
    for table in tables:
        points += _points(table)
    given = len(tables) * classes * (classes - 1) / 2
    # Half a point is the least difference. With thousands of classes it is less than TIE_SHARE.
    return _break_ties(points / given, mean_of(tables), min(TIE_SHARE, 0.1 / given))


def _break_ties(shares: npt.NDArray[np.float64], mean: npt.NDArray[np.float64], tie_share: float) -> Counted:
    probabilities = (1 - tie_share) * shares + tie_share * mean
    return probabilities, probabilities.argmax(1)


def _count_votes(tables: Tables) -> npt.NDArray[np.int64]:
    votes = np.zeros(tables[0].shape, np.int64)
    images = np.arange(len(votes))
    for table in tables:
        votes[images, table.argmax(1)] += 1
    return votes


def _points(table: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Number of classes that each class beats; equals count half."""
    order = table.argsort(1)
    rising = np.take_along_axis(table, order, 1)
    place = np.broadcast_to(np.arange(table.shape[1]), table.shape)
    rises = rising[:, 1:] != rising[:, :-1]
    edge = np.ones((len(table), 1), np.bool_)
    first = np.maximum.accumulate(np.where(np.hstack([edge, rises]), place, 0), axis=1)
    ends = np.where(np.hstack([rises, edge]), place, table.shape[1] - 1)
    last = np.minimum.accumulate(ends[:, ::-1], axis=1)[:, ::-1]
    points = np.empty(table.shape)
    np.put_along_axis(points, order, (first + last) / 2, 1)
    return points
