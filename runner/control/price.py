"""What a node costs an hour: from the sweep file, or from the cluster file beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runner.config.sweep import SweepSpec
from runner.config.yaml_file import parse_yaml, read_found_file
from trainables.distribution import CHECKOUT
from trainables.errors import SweepFileError

CLUSTER_FILE = "cluster.yaml"
KEY = "price_per_node_hour"


def find_price(spec: SweepSpec) -> float | None:
    """The price of a node for an hour: `budget.price`, else `metadata: {price_per_node_hour: …}` of the cluster file in
    this folder or in the checkout; None where neither says. Raises `SweepFileError` where a money budget has no price.

    Of several types the dearest counts: which of them a cluster gets is not known before, and a budget is no estimate.
    """
    price = spec.budget.price
    for folder in (Path(), CHECKOUT):
        price = _price_in(folder / CLUSTER_FILE) if price is None else price
    if spec.budget.money is not None and price is None:
        raise SweepFileError(
            f"budget.money is {spec.budget.money:g}, but no price is known: set budget.price (of a node for an hour), "
            f"or metadata: {{{KEY}: …}} in {CLUSTER_FILE}"
        )
    return price


def find_prices(config: object, where: str) -> float | dict[str, float] | None:
    """The price of a node for an hour in a cluster file: one price, or one per node type. Raises `SweepFileError`."""
    metadata = config.get("metadata") if isinstance(config, dict) else None
    prices: Any = metadata.get(KEY) if isinstance(metadata, dict) else None
    if not isinstance(prices, dict):
        return None if prices is None else _check(prices, f"{where}.{KEY}")
    return {str(name): _check(price, f"{where}.{KEY}.{name}") for name, price in prices.items()} or None


def _price_in(path: Path) -> float | None:
    try:
        config = parse_yaml(read_found_file(path), str(path))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise SweepFileError(f"{path}: cannot be read ({error.strerror}) for {KEY}: repair or move it") from None
    except UnicodeDecodeError:
        raise SweepFileError(f"{path}: not a text file in UTF-8, but read for {KEY}: repair or move it") from None
    prices = find_prices(config, f"{path}: metadata")
    return max(prices.values()) if isinstance(prices, dict) else prices


def _check(price: Any, where: str) -> float:
    if isinstance(price, bool) or not isinstance(price, int | float) or not 0 < price < float("inf"):
        raise SweepFileError(f"{where} is {price!r}: a number above 0 is needed")
    return float(price)
