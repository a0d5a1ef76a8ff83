"""`caucus predict` takes what `data.path` takes, with the keys that say how a table is read."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from runner.deploy.source_keys import SOURCE_KEYS, read_source_keys
from tests.runner.deploy.test_predict import check_rows, predict, read_csv
from tests.sample_runs.trained_digits import TrainedRun
from tests.services.servers import S3Server
from trainables.config.data import DataConfig
from trainables.errors import SweepFileError
from trainables.store.open import open_store

pytestmark = pytest.mark.usefixtures("one_thread")

COUNT = 5
NAMES = [f"test/{position}.png" for position in range(COUNT)]
ROWS = [str(position) for position in range(COUNT)]


@pytest.fixture(scope="module")
def sources(digits_run: TrainedRun, tmp_path_factory: pytest.TempPathFactory) -> dict[Path, list[str]]:
    """The first test images in many forms, none with labels, and the names under which they are predicted."""
    top = tmp_path_factory.mktemp("sources")
    pixels = digits_run.images.pixels[digits_run.images.rows("test")[:COUNT], :, :, 0]
    contents = {}
    for name, image in zip(NAMES, pixels, strict=True):
        data = io.BytesIO()
        Image.fromarray(image).save(data, "PNG")
        contents[name] = data.getvalue()
    (top / "set" / "test").mkdir(parents=True)
    with zipfile.ZipFile(top / "set.zip", "w") as archive, tarfile.open(top / "set.tar", "w") as shard:
        for name, content in contents.items():
            (top / "set" / name).write_bytes(content)
            archive.writestr(name, content)
            shard.add(top / "set" / name, name)
    (top / "set" / "table.csv").write_text("\n".join(["image", *NAMES]))
    (top / "set" / "table.jsonl").write_text("\n".join(json.dumps({"image": name}) for name in NAMES))
    pq.write_table(
        pa.table({"image": [{"bytes": contents[name], "path": name} for name in NAMES]}), top / "set.parquet"
    )
    np.savez(top / "set.npz", pixels)
    np.savez(top / "labelled.npz", images=pixels, labels=np.zeros(COUNT, int))
    named = ("set", "set.zip", "set.tar", "set/table.csv", "set/table.jsonl", "set.parquet")
    return {top / name: NAMES for name in named} | {top / "set.npz": ROWS, top / "labelled.npz": ROWS}


def test_one_set_is_predicted_alike_from_every_source(
    digits_run: TrainedRun, digits_bundle: Path, sources: dict[Path, list[str]], tmp_path: Path
) -> None:
    for source, names in sources.items():
        answer = predict(digits_bundle, source, "--out", tmp_path / "out.csv")
        assert answer.exit_code == 0, (source, answer.output)
        check_rows(digits_run, digits_bundle, read_csv(tmp_path / "out.csv"), names)


def test_archives_and_tables_of_a_bucket_are_predicted_too(
    digits_run: TrainedRun,
    digits_bundle: Path,
    sources: dict[Path, list[str]],
    tmp_path: Path,
    moto_s3: S3Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moto_s3.login(monkeypatch)
    bucket = f"s3://{moto_s3.new_bucket()}"
    store = open_store(f"{bucket}/x")
    folder = next(iter(sources))
    for name in (*NAMES, "table.csv"):
        store.put(f"set/{name}", (folder / name).read_bytes())
    for name in ("set.zip", "set.npz"):
        store.put(name, (folder.parent / name).read_bytes())
    for where, names in (("set", NAMES), ("set/table.csv", NAMES), ("set.zip", NAMES), ("set.npz", ROWS)):
        answer = predict(digits_bundle, f"{bucket}/x/{where}", "--out", tmp_path / "out.csv")
        assert answer.exit_code == 0, (where, answer.output)
        check_rows(digits_run, digits_bundle, read_csv(tmp_path / "out.csv"), names)


def test_the_keys_of_a_table_are_typed_as_overrides(
    digits_run: TrainedRun, digits_bundle: Path, sources: dict[Path, list[str]], tmp_path: Path
) -> None:
    folder = next(iter(sources))
    stems = [name.removesuffix(".png") for name in NAMES]
    (tmp_path / "list.csv").write_text("\n".join(f"{position}, a|{stem}" for position, stem in enumerate(stems)))
    keys = [f"data.root={folder}", "data.delimiter=|", "data.header=false", "data.image_column=1", "data.ending=.png"]
    answer = predict(digits_bundle, tmp_path / "list.csv", *keys, "--out", tmp_path / "out.csv")
    assert answer.exit_code == 0, answer.output
    check_rows(digits_run, digits_bundle, read_csv(tmp_path / "out.csv"), stems)


def test_how_a_table_was_understood_and_what_is_missing_is_said(
    digits_bundle: Path, sources: dict[Path, list[str]], tmp_path: Path
) -> None:
    folder = next(iter(sources))
    (tmp_path / "list.csv").write_text("\n".join(["n,picture", *(f"7,{name}" for name in NAMES), "8,gone.png"]))
    answer = predict(
        digits_bundle, tmp_path / "list.csv", f"data.root={folder}", "--out", tmp_path / "out.csv", "--json"
    )
    assert answer.exit_code == 4, answer.output
    assert "column picture of" in answer.stderr
    assert "1 of 6 images are not in" in answer.stderr
    assert json.loads(answer.stdout)["bad"] == [{"image": "gone.png", "reason": "No such file or directory"}]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("data.label_column=x", "data.label_column means nothing where images are predicted: remove it"),
        ("data.size=8", "data.size means nothing where images are predicted"),
        ("data.imagecolumn=x", "there is no key data.imagecolumn here, .*; did you mean data.image_column"),
        ("image_column=x", "there is no key image_column here, .*; did you mean data.image_column"),
        ("search.trials=3", "there is no key search.trials here, only data.image_column"),
        ("picture.png", "'picture.png' is no override: write key=value"),
        ("data.root=", "is no override"),
        ("data.header=perhaps", "header is 'perhaps': must be a valid boolean"),
        ("data.delimiter=ab", "delimiter: 'ab' is no delimiter: give one character in quotes, or name comma"),
    ],
)
def test_anything_but_a_key_of_sources_is_refused_by_name(
    digits_bundle: Path, sources: dict[Path, list[str]], tmp_path: Path, typed: str, said: str
) -> None:
    with pytest.raises(SweepFileError, match=said):
        read_source_keys("x", [typed])
    answer = predict(digits_bundle, next(iter(sources)), typed, "--out", tmp_path / "out.csv")
    assert answer.exit_code == 2, answer.output
    assert answer.stderr.startswith("caucus: ")
    assert not (tmp_path / "out.csv").exists()


def test_values_are_texts_as_they_are_typed() -> None:
    typed = {"delimiter": "|", "image_column": "0", "root": "a=b", "ending": "jpg", "endpoint_url": "http://x"}
    read = read_source_keys("x", [f"data.{key}={text}" for key, text in typed.items()], "http://other")
    assert {key: getattr(read, key) for key in typed} == typed
    assert read_source_keys("x", [], "http://other").endpoint_url == "http://other"
    assert read_source_keys("x", ["data.delimiter=\\t", "data.header=true"]).delimiter == "\t"
    assert read_source_keys("x", ["data.delimiter=';'"]).delimiter == ";"
    assert set(SOURCE_KEYS) <= set(DataConfig.model_fields)
