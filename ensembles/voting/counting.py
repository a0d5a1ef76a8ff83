"""Votes that count instead of averaging: one vote of each member for a class, or its ranks of all classes.

Counts tie often: four members on 22 % of the images where they err independently. So a trace of the mean probability is
added to them, and the likeliest class of the result is the one that wins, also for a program that knows no more than it.
"""

from __future__ import annotations

from collections.abc import Sequence

from array_api_compat import array_namespace

from ensembles.voting.arrays import Array, add_up, to_float64
from ensembles.voting.means import mean

TIE_SHARE = 1e-9
"""Weight of the mean probability beside counts, smaller than the difference of any two counts. Means equal to 1e-7 still tie."""


def plurality(tables: Sequence[Array], weights: Sequence[float] = ()) -> Array:
    """Each member has one vote, whatever its weight, for its likeliest class; the most votes win.

    Of equals the class with the higher mean probability wins, then the lower number. Probabilities are shares of votes.
    """
    return _break_ties(_count_votes(tables) / len(tables), mean(tables), TIE_SHARE)


def majority(tables: Sequence[Array], weights: Sequence[float] = ()) -> Array:
    """As `plurality`, but only more than half of the votes win; else the mean probability decides.

    Then probabilities are those means.
    """
    votes = _count_votes(tables)
    xp = array_namespace(votes)
    won = 2 * xp.max(votes, axis=1, keepdims=True) > len(tables)
    return xp.where(won, votes / len(tables), mean(tables))


def mean_rank(tables: Sequence[Array], weights: Sequence[float] = ()) -> Array:
    """Each member ranks the classes, and the best mean rank wins (Borda 1784; Ho, Hull and Srihari 1994).

    A class has a point of each member for every class that it beats, and half a point for every one that it equals.
    Probabilities are shares of all points: they order the classes, but say little of how sure anyone is, as the winner of
    three classes has 2/3 at most. Of equals the class with the higher mean probability wins, then the lower number.
    """
    classes = tables[0].shape[1]
    if classes == 1:
        return mean(tables) * 0 + 1
    given = len(tables) * classes * (classes - 1) / 2
    # Half a point is the least difference. With thousands of classes it is less than TIE_SHARE.
    return _break_ties(add_up(map(_points, tables)) / given, mean(tables), min(TIE_SHARE, 0.1 / given))


def _break_ties(shares: Array, mean_shares: Array, tie_share: float) -> Array:
    return (1 - tie_share) * shares + tie_share * mean_shares


def _count_votes(tables: Sequence[Array]) -> Array:
    """Votes of each class, float64 (images, classes)."""
    xp = array_namespace(tables[0])
    # 0, 1, 2 … (no arange: a program would keep the device that it was traced on)
    ones = xp.ones_like(xp.astype(xp.isnan(tables[0][:1, :]), xp.int64))
    classes = xp.cumulative_sum(ones, axis=1) - 1
    return add_up(classes == xp.argmax(table, axis=1)[:, None] for table in tables)


def _points(table: Array) -> Array:
    """Number of classes that each class beats; equals count half.

    The mean of the places in two rankings, which break ties in opposite orders.
    """
    xp = array_namespace(table)

    def places(values: Array) -> Array:
        # The inner ranking breaks ties by place; the outer one only inverts it, and has none.
        return xp.argsort(xp.argsort(values, axis=1, stable=True), axis=1, stable=False)

    return to_float64(places(table) + xp.flip(places(xp.flip(table, axis=1)), axis=1)) / 2
