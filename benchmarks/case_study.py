"""Prints the table of docs/case_study.md as Markdown, from the run of an ablation in a store.

    python -m benchmarks.case_study case-study
    python -m benchmarks.case_study case-study/3f2a90c1 --store s3://bucket/prefix

All figures are read from the run's ensemble.json: accuracies are shares of 1 there, losses nats.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import Any

from runner.runs.locate import locate
from trainables.errors import CaucusError, RunMissing
from trainables.store import layout
from trainables.store.json_records import get_json

HEAD = (
    "arm",
    "seeds",
    "training accuracy, as seen",
    "training accuracy, evaluated",
    "validation accuracy",
    "gap, points",
    "epochs to the training loss",
    "epochs to the validation loss",
)


def format_table(payload: dict[str, Any]) -> Iterator[str]:
    """Lines of Markdown from ensemble.json: the arms, then the ensemble. Raises `RunMissing` without an ablation."""
    found = payload.get("ablation")
    if found is None:
        raise RunMissing("the run's ensemble.json has no ablation: name a run of search.method=ablation that has ended")
    yield _line(HEAD)
    yield _line(["---"] + ["--:"] * (len(HEAD) - 1))
    reaches = {"baseline": found["baseline_reach"], **{row["name"]: row["reach"] for row in found["rows"]}}
    for level in found["levels"]:
        yield _line(
            [
                level["name"],
                level["repeats"],
                _mean(level["train"], "%"),
                _mean(level["fit"], "%"),
                _mean(level["validation"], "%"),
                _mean(level["gap"], ""),
                _reach(level["train_reach"]),
                _reach(reaches[level["name"]]),
            ]
        )
    yield ""
    yield (
        f"Means over the last {found['last_epochs']} of {found['epoch']} epochs and over seeds, ± half of the 95 % interval over "
        f"seeds. Losses to be reached: {found['train_reach_loss']:.4f} (training, as seen), {found['reach_loss']:.4f} (validation)."
    )
    yield ""
    yield from _describe_ensemble(payload["verdict"])


def _describe_ensemble(verdict: dict[str, Any]) -> Iterator[str]:
    yield _line(["on the test split", "accuracy", "95 % interval"])
    yield _line(["---", "--:", "--:"])
    voted = verdict["votes"][verdict["vote"]]
    for name, score in (("best single", verdict["best"]), (f"{verdict['vote']} vote of {voted['members']}", voted)):
        low, high = score["ci95"]
        yield _line([name, f"{score['test_accuracy']:.2%}", f"{low:.2%} to {high:.2%}"])


def _mean(payload: dict[str, Any] | None, unit: str) -> str:
    if payload is None:
        return "-"
    half = f" ± {100 * (payload['ci95'][1] - payload['value']):.1f}" if payload["ci95"] else ""
    return f"{100 * payload['value']:.1f}{half}{unit and ' ' + unit}"


def _reach(payload: dict[str, Any]) -> str:
    if payload["epochs"] is None:
        return f"none of {payload['repeats']}"
    some = f" ({payload['reached']} of {payload['repeats']})" if payload["reached"] < payload["repeats"] else ""
    return f"{payload['epochs']:.1f}{some}"


def _line(cells: Any) -> str:
    return f"| {' | '.join(str(cell).replace('|', '/') for cell in cells)} |"


def main() -> None:
    """Print the table of the run that the command line names."""
    parser = argparse.ArgumentParser(description="The table of a case study, as Markdown.")
    parser.add_argument("run", help="NAME, or NAME/RUN")
    parser.add_argument("--store", default="runs", help="a folder, or s3://bucket/prefix")
    parser.add_argument("--endpoint-url", default=None, help="the S3 server, where it is not AWS")
    words = parser.parse_args()
    try:
        found = locate(words.run, words.store, words.endpoint_url)
        payload = get_json(found.store, layout.run_key(found.name, found.run, layout.ENSEMBLE))
        print("\n".join(format_table(payload)))
    except CaucusError as error:
        sys.exit(f"case_study: {error}")


if __name__ == "__main__":
    main()
