"""Every part of Caucus that can be exchanged: the kinds, and the built-in parts of each, as `module:object`.

A part is imported when it is first used. Strings stand here, as in the entry points of a package, because the parts lie in
packages above this one.
"""

from __future__ import annotations

from trainables.plugins.kind import Kind

_MODELS, _DATA = "trainables.models", "trainables.datasets"
_SEARCH, _SCHEDULERS = "runner.search.methods", "runner.schedulers"
_VOTING, _SELECTION, _CALIBRATION = "ensembles.voting", "ensembles.selection", "ensembles.calibration"

DATA = Kind(
    "data source",
    "data.name",
    "caucus.datasets",
    {
        "digits": f"{_DATA}.digits:load_digits",
        "fashion-mnist": f"{_DATA}.fashion_mnist:load_fashion_mnist",
        "arrays": f"{_DATA}.arrays:refuse_arrays",
        "cifar10": f"{_DATA}.published:CIFAR10",
        "cifar100": f"{_DATA}.published:CIFAR100",
        "mnist": f"{_DATA}.published:MNIST",
        "kmnist": f"{_DATA}.published:KMNIST",
        "qmnist": f"{_DATA}.published:QMNIST",
        "svhn": f"{_DATA}.published:SVHN",
        "stl10": f"{_DATA}.published:STL10",
        "flowers102": f"{_DATA}.published:FLOWERS102",
        "oxford-iiit-pet": f"{_DATA}.published:PETS",
        "food101": f"{_DATA}.published:FOOD101",
        "eurosat": f"{_DATA}.published:EUROSAT",
    },
)

MODEL = Kind(
    "model",
    "model.name",
    "caucus.models",
    {
        "cnn": f"{_MODELS}.cnn:build_cnn",
        "torchvision/*": f"{_MODELS}.torchvision:build_torchvision",
        "timm/*": f"{_MODELS}.timm:build_timm",
    },
)

AUGMENTATION = Kind("augmentation", "augment.function", "caucus.augmentations", {})
"""The built-in operations are keys of `augment` and work side by side; a custom one comes after them."""

SELECTION = Kind(
    "selection",
    "ensemble.select",
    "caucus.selections",
    {
        "best": f"{_SELECTION}.ranking:select_ranked",
        "top": f"{_SELECTION}.ranking:select_ranked",
        "all": f"{_SELECTION}.ranking:select_ranked",
        "greedy": f"{_SELECTION}.greedy.greedy:select_greedily",
        "greedy-once": f"{_SELECTION}.greedy.greedy:select_greedily",
        "cma-es": f"{_SELECTION}.cma_es:select_by_cma_es",
        "stable": f"{_SELECTION}.stable:select_stable",
        "smallest": f"{_SELECTION}.smallest:select_smallest",
        "boosted": f"{_SELECTION}.boosted:select_boosted",
    },
)

VOTE = Kind(
    "vote",
    "ensemble.vote",
    "caucus.votes",
    {
        "hard": f"{_VOTING}.counting:plurality",
        "majority": f"{_VOTING}.counting:majority",
        "soft": f"{_VOTING}.means:mean",
        "geometric": f"{_VOTING}.means:geometric_mean",
        "weighted": f"{_VOTING}.means:weighted_mean",
        "confidence": f"{_VOTING}.means:confident_mean",
        "rank": f"{_VOTING}.counting:mean_rank",
        "stacked": f"{_VOTING}.stacking:Stacking",
    },
)

CALIBRATION = Kind(
    "calibration",
    "ensemble.calibrate",
    "caucus.calibrations",
    {
        "none": f"{_CALIBRATION}.uncalibrated:Uncalibrated",
        "temperature": f"{_CALIBRATION}.temperature:Temperature",
        "vector": f"{_CALIBRATION}.vector:VectorScale",
        "isotonic": f"{_CALIBRATION}.isotonic:Isotonic",
    },
)

SEARCH = Kind(
    "search",
    "search.method",
    "caucus.searches",
    {
        "random": f"{_SEARCH}.random:RandomSearch",
        "grid": f"{_SEARCH}.grid:GridSearch",
        "jittered": f"{_SEARCH}.grid:GridSearch",
        "tpe": f"{_SEARCH}.model_based:ModelBasedSearch",
        "gp": f"{_SEARCH}.model_based:ModelBasedSearch",
        "bohb": f"{_SEARCH}.model_based:ModelBasedSearch",
        "pbt": f"{_SEARCH}.pbt:PBTSearch",
        "ablation": f"{_SEARCH}.ablation:AblationSearch",
        "ladder": f"{_SEARCH}.ladder:CapacityLadderSearch",
        "replay": f"{_SEARCH}.replay:ReplaySearch",
        "bagging": f"{_SEARCH}.bagging:BaggingSearch",
        "boosting": f"{_SEARCH}.boosting:BoostingSearch",
    },
)

SCHEDULER = Kind(
    "scheduler",
    "scheduler.method",
    "caucus.schedulers",
    {
        "none": f"{_SCHEDULERS}.base:Unscheduled",
        "asha": f"{_SCHEDULERS}.asha:Asha",
        "asha-promote": f"{_SCHEDULERS}.asha_promote:PromotingAsha",
        "hyperband": f"{_SCHEDULERS}.hyperband:HyperBand",
        "median": f"{_SCHEDULERS}.median:MedianStopping",
    },
)

STORE = Kind(
    "store",
    "the scheme of store",
    "caucus.stores",
    {"": "trainables.store.folder:open_folder", "s3": "trainables.store.s3:open_bucket"},
)
"""By the scheme of their URI: `s3://bucket/prefix`. A custom one has the scheme that its package registers, or is `module:object://…`."""

RULE = Kind("diagnosis rule", "diagnosis.rules", "caucus.rules", {}, is_called=False)
"""The built-in rules are the table `ensembles.diagnosis.rules.RULES`; custom ones are checked before them."""

KINDS = (DATA, MODEL, AUGMENTATION, SELECTION, VOTE, CALIBRATION, SEARCH, SCHEDULER, STORE, RULE)
"""All of them, in the order of a run."""
