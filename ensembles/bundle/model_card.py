"""The model card of a bundle in Markdown: intended use, scores, data, cost and limits (Mitchell et al. 2019)."""

from __future__ import annotations

import re
from typing import Any

from ensembles.bundle.manifest import CARD, MANIFEST, PROGRAM, Manifest
from ensembles.evaluation.never_predicted import describe_never_predicted, read_never_predicted
from trainables.data.decoding import FULL_SCALE, Decoding
from trainables.metric import Metric, name_metric, show_score

_SPECIAL = re.compile(r"([\\`*_\[\]<>#|~&!$])")


def escape(text: str) -> str:
    """`text` escaped for Markdown and HTML; line breaks become blanks.

    >>> escape("<b>star</b> *x*")
    '\\\\<b\\\\>star\\\\</b\\\\> \\\\*x\\\\*'
    """
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def write_card(manifest: Manifest) -> str:
    """The card as one Markdown document."""
    return "\n\n".join(
        [
            f"# {escape(manifest.data.name)}: {_title(manifest)}",
            _summary(manifest),
            "## Intended use",
            _use(manifest),
            "## What it is worth",
            _scores(manifest),
            "## What it was trained on",
            _data(manifest),
            "## What a prediction costs",
            _costs(manifest),
            "## How to use it",
            _how(manifest),
            "## Limits",
            _limits(manifest),
            "## Where it comes from",
            _provenance(manifest),
        ]
    )


def _title(manifest: Manifest) -> str:
    count = len(manifest.members)
    if not manifest.team:
        return "the best single model"
    return f"a team of {count} image classifiers" if count > 1 else "a team of one image classifier"


def _summary(manifest: Manifest) -> str:
    classes, prepared = len(manifest.class_names), manifest.preparation
    colour = "grey" if prepared.channels == 1 else "colour (RGB)"
    vote = f"Their {manifest.vote} vote" if len(manifest.members) > 1 else "Its answer"
    return (
        f"It says which of {classes} classes an image belongs to, and how sure it is. Images are brought to "
        f"{prepared.height} x {prepared.width} pixels in {colour}{_decoding(prepared.decoding)}{_equalised(manifest)}. {vote} is calibrated on validation images "
        f"({_calibration(manifest)}), so that its probabilities can be taken at their word on images like those."
    )


def _decoding(decoding: Decoding) -> str:
    """What is special about how images become pixels, for those who decode them without Caucus."""
    text = {"squash": "", "pad": ", with a margin where their proportions differ", "crop": ", the middle of each"}[
        decoding.fit
    ]
    if decoding.background is not None:
        text += f", transparent ones laid on #{bytes(decoding.background).hex()}"
    if decoding.white < FULL_SCALE:
        text += f", grey of 16 bits with {decoding.white} as white"
    return text


def _equalised(manifest: Manifest) -> str:
    """Which members equalise pixels. The program does it itself, and so does `caucus predict`."""
    kinds = [member.config.data.equalise for member in manifest.members if member.config.data.equalise != "none"]
    if not kinds:
        return ""
    whose = "" if len(kinds) == len(manifest.members) else f" for {len(kinds)} of its members"
    return f", and then their brightness equalised ({', '.join(sorted(set(kinds)))}){whose}"


def _calibration(manifest: Manifest) -> str:
    return escape(str(manifest.calibrator.get("kind", "none")))


def _use(manifest: Manifest) -> str:
    names = ", ".join(escape(name) for name in manifest.class_names)
    return (
        f"Images of the kind it was trained on, each of one of these classes: {names}. It knows no other class and never "
        "says that it does not know: use the probability and the agreement of its members to find images that a person "
        "should look at."
    )


def _scores(manifest: Manifest) -> str:
    scores = manifest.scores
    metric = scores.get("metric")
    rows = [
        f"| |{f' test {name_metric(metric)} |' if metric else ''} test accuracy | 95 % interval | validation, as selected | validation, corrected | NLL, calibrated | ECE, calibrated |",
        f"|---|{'---|' if metric else ''}---|---|---|---|---|---|",
    ]
    rows += [_row(label, scores[key], metric) for key, label in (("team", "team"), ("best", "best single model"))]
    verdict = "\n\n".join(escape(sentence) for sentence in scores["verdict"])
    if missed := describe_never_predicted(read_never_predicted(scores.get("never_predicted"))):
        verdict += f"\n\n**{escape(missed)}**"
    return (
        "\n".join(rows)
        + f"\n\n{verdict}\n\nValidation scores as selected are flattering, for the members were chosen on "
        "them; test was scored once everything was chosen."
    )


def _row(label: str, score: dict[str, Any], metric: Metric | None = None) -> str:
    low, high = score["ci95"]
    corrected = score.get("corrected")
    cells = [
        *([show_score(metric, score["test_score"])] if metric else []),
        f"{score['test_accuracy']:.2%}",
        f"{low:.2%} to {high:.2%}",
        f"{score['validation_accuracy']:.2%}",
        f"{corrected['value']:.2%}" if corrected else "not estimated",
        _number(score.get("test_nll_calibrated")),
        _number(score.get("test_ece_calibrated")),
    ]
    return f"| {label} | {' | '.join(cells)} |"


def _number(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.4f}"


def _data(manifest: Manifest) -> str:
    counts = ", ".join(f"{count:,} {escape(split)}" for split, count in manifest.data.images.items())
    return f"Data set {escape(manifest.data.name)}, fingerprint `{manifest.data.id}`: {counts} images."


def _costs(manifest: Manifest) -> str:
    rows = [
        "| member | model | share | parameters | MFLOPs | ms an image | validation accuracy |",
        "|---|---|---|---|---|---|---|",
    ]
    for member in manifest.members:
        cells = [
            f"`{member.checkpoint}`",
            escape(member.config.model.name),
            f"{member.weight:.3f}",
            "?" if member.parameters is None else f"{member.parameters:,}",
            "?" if member.flops is None else f"{member.flops / 1e6:,.2f}",
            "?" if member.latency_s is None else f"{1000 * member.latency_s:.2f}",
            f"{member.validation_accuracy:.2%}",
        ]
        rows.append(f"| {' | '.join(cells)} |")
    text = "\n".join(rows)
    text += "\n\nTimes are of one image alone, where the member was trained."
    if found := manifest.cascade_found:
        text += (
            f" As a cascade {found.members_asked:.2f} of {len(manifest.members)} members are asked an image, "
            f"{found.cost_share:.0%} of the whole cost, with a validation accuracy of {found.accuracy:.2%} "
            f"({found.whole_accuracy:.2%} by all of them)."
        )
    return text


def _how(manifest: Manifest) -> str:
    prepared = manifest.preparation
    shape = f"images, {prepared.height}, {prepared.width}, {prepared.channels}"
    text = (
        "```\ncaucus predict THIS_FOLDER IMAGES --out predictions.csv\n```\n\n"
        "IMAGES is a folder, an image, a table with a column `image`, an `.npz` file or `s3://…`."
    )
    if PROGRAM in manifest.files:
        text += (
            f" Without Caucus, `{PROGRAM}` takes uint8 or float32 ({shape}) from 0 to 255 to calibrated probabilities "
            f"float64 (images, {len(manifest.class_names)}), and needs torch alone:\n\n"
            "```python\nimport torch\n\n"
            f'program = torch.export.load("{PROGRAM}").module()\n'
            "probabilities = program(images)\n```\n\n"
            "The class is the likeliest one"
            + (
                "; where several have the same share of a "
                f"{manifest.vote} vote, Caucus takes the one with the higher mean probability.\n\n"
                if manifest.vote in ("hard", "rank")
                else ".\n\n"
            )
            + "On a GPU, pass the loaded program through `torch.export.passes.move_to_device_pass` before `.module()`. Load a "
            "program only from whom you trust: torch evaluates expressions that it finds in one."
        )
    return text


def _limits(manifest: Manifest) -> str:
    lines = [
        "- Scores hold for images from the same source as the test split. On others, accuracy and calibration are unknown.",
        "- Whatever is unevenly represented in the training images is so here; nothing was corrected for it.",
    ]
    if not manifest.scores.get("ship", True) and manifest.team and len(manifest.members) > 1:
        lines.append(
            "- The verdict above is to ship the best single model: `caucus export RUN BUNDLE --single` bundles that."
        )
    if custom := manifest.plugins:
        lines.append(
            f"- `caucus predict` needs the code of {', '.join(escape(name) for name in custom)} and the option `--custom-code`; "
            f"`{PROGRAM}` does not."
        )
    if PROGRAM not in manifest.files:
        lines.append(f"- There is no `{PROGRAM}`: torch.export cannot follow one of the nets, or the vote.")
    return "\n".join(lines)


def _provenance(manifest: Manifest) -> str:
    versions = ", ".join(f"{escape(name)} {escape(version)}" for name, version in sorted(manifest.versions.items()))
    fence = "`" * (1 + max((len(ticks) for ticks in re.findall("`+", manifest.command)), default=2))
    fence = fence if len(fence) > 2 else "```"
    return (
        f"Run `{manifest.run}`, reproduced by\n\n{fence}\n{' '.join(manifest.command.split())}\n{fence}\n\n"
        f"Made with {versions}. `{MANIFEST}` has the configuration of every member, and size and SHA-256 of every file but "
        f"itself; `{CARD}` is one of them."
    )
