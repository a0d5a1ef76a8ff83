import pytest

from trainables.errors import DamagedObject
from trainables.results.layer_statistics import EpochStatistics, LayerStatistics, layers_from_arrow, layers_to_arrow

LAYERS = (
    LayerStatistics("3", "ReLU", 0.5, 1.25, 0.0, -4.5, 5.5, (1, 2, 3)),
    LayerStatistics("0.weight", "Conv2d", update_ratio=0.001),
)


def test_layers_are_read_back_as_they_were():
    assert layers_from_arrow(layers_to_arrow(LAYERS)) == LAYERS
    assert layers_from_arrow(layers_to_arrow(())) == ()


def test_what_is_no_table_of_layers_is_refused():
    with pytest.raises(DamagedObject, match="not a table of layer statistics"):
        layers_from_arrow(b"nothing of the kind")


def test_scalars_are_all_but_the_layers():
    statistics = EpochStatistics(0.1, 0.9, 0.01, 1.0, 0.001, 0.0, 1.5, LAYERS)
    assert statistics.scalars() == {
        "fit_loss": 0.1,
        "fit_accuracy": 0.9,
        "rate": 0.01,
        "grad_norm": 1.0,
        "update_ratio": 0.001,
        "dead_share": 0.0,
        "surge": 1.5,
    }
