"""One night's team beside the last accepted one: compared on the same test images, and evaluated."""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from ensembles.nights.compare import compare_nights
    from ensembles.nights.evaluate import decide_verdict
    from ensembles.nights.summary import NightFacts, NightSummary
    from ensembles.nights.team_answers import TeamAnswers

__all__ = ["NightFacts", "NightSummary", "TeamAnswers", "compare_nights", "decide_verdict"]

__getattr__ = lazy_names(
    __name__,
    {
        "compare": ("compare_nights",),
        "evaluate": ("decide_verdict",),
        "summary": (
            "NightFacts",
            "NightSummary",
        ),
        "team_answers": ("TeamAnswers",),
    },
)
