import pytest

import trainables.training.epoch_timer
import trainables.training.training
import trainables.training.trial
from tests.trainables.training.tiny_trials import make_config, make_images
from trainables.config.trial import BoostConfig, ParentConfig
from trainables.models.boosted import build_net
from trainables.training.epoch_timer import EpochTime, EpochTimer, ProbeFailed
from trainables.training.training import Training

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def steps(monkeypatch):
    """How many steps each epoch that is trained from now on has."""
    made = []
    train_epoch = Training.train_epoch

    def counted(self, *args):
        rows = len(self._images.rows["train"])
        made.append(rows // min(self.config.optimizer.batch_size, rows))
        return train_epoch(self, *args)

    monkeypatch.setattr(Training, "train_epoch", counted)
    return made


@pytest.fixture
def work_clock(monkeypatch):
    """A clock that only work moves: 30 ms to begin, 5 ms a step of training, 1 ms a predicted image."""
    clock = WorkClock()
    begin, train_epoch, evaluate = Training.__init__, Training.train_epoch, Training.evaluate

    def build(self, *args, **more):
        clock.now_s += 0.03
        begin(self, *args, **more)

    def train(self, *args):
        rows = len(self._images.rows["train"])
        clock.now_s += 0.005 * (rows // min(self.config.optimizer.batch_size, rows))
        return train_epoch(self, *args)

    def predict(self, split):
        clock.now_s += 0.001 * len(self._images.rows[split])
        return evaluate(self, split)

    monkeypatch.setattr(Training, "__init__", build)
    monkeypatch.setattr(Training, "train_epoch", train)
    monkeypatch.setattr(Training, "evaluate", predict)
    monkeypatch.setattr(trainables.training.epoch_timer, "time", clock)
    monkeypatch.setattr(trainables.training.trial, "time", clock)


class WorkClock:
    """What stands in for the module `time`."""

    now_s = 0.0

    def perf_counter(self):
        return self.now_s

    def monotonic(self):
        return self.now_s


def test_an_epoch_lasts_as_long_as_its_parts():
    assert EpochTime(train_s=2.0, evaluate_s=0.5, rest_s=0.25, begin_s=9.0, step_s=0.1).epoch_s == 2.75


def test_short_epochs_are_timed_whole(work_clock):
    took = EpochTimer(make_images().arrays).time_epoch(make_config(), limit_s=0.5)
    assert 0 < took.train_s < took.epoch_s < 0.5
    assert took.evaluate_s > 0
    assert took.begin_s > 0


def test_a_long_epoch_is_its_steps_times_the_time_of_one(steps):
    took = EpochTimer(make_images(train=32_000).arrays).time_epoch(make_config(), limit_s=0.1)
    assert took.train_s == pytest.approx(2000 * took.step_s)
    assert max(steps) < 2000
    assert steps[:2] == [2, 2]


def test_a_share_of_the_training_images_has_that_share_of_steps(steps):
    took = EpochTimer(make_images(train=32_000).arrays).time_epoch(make_config(train_share=0.25), limit_s=0.1)
    assert took.train_s == pytest.approx(500 * took.step_s)
    assert steps[:2] == [2, 2]


def test_a_plateau_is_timed_without_the_prediction_that_it_asks_for(monkeypatch):
    monkeypatch.setattr(
        Training, "_validation_losses", lambda training: [] if training.config.schedule.name == "constant" else None
    )
    assert (
        EpochTimer(make_images().arrays).time_epoch(make_config(schedule={"name": "plateau"}), limit_s=0.1).epoch_s > 0
    )


def test_whole_epochs_and_multiplied_steps_agree_where_every_step_and_every_prediction_takes_the_same(work_clock):
    watch = EpochTimer(make_images().arrays)  # 70 images: four steps of 16; 20 of validation, 20 of test
    whole, steps = watch.time_epoch(make_config(), limit_s=2.0), watch._time_steps(make_config(), limit_s=0.1)
    assert (whole.begin_s, steps.begin_s) == pytest.approx((0.03, 0.03))
    assert (whole.train_s, steps.train_s) == pytest.approx((0.02, 0.02))
    assert (whole.evaluate_s, steps.evaluate_s) == pytest.approx((0.04, 0.04))
    assert (whole.rest_s, steps.rest_s) == pytest.approx((0.0, 0.0))


def test_one_batch_may_hold_all_training_images():
    assert EpochTimer(make_images().arrays).time_epoch(make_config(batch_size=512), limit_s=0.1).train_s > 0


@pytest.mark.parametrize("lr", [100.0, 0.05])
def test_a_rate_that_would_diverge_is_timed_all_the_same(lr):
    assert EpochTimer(make_images().arrays).time_epoch(make_config(lr=lr), limit_s=0.1).epoch_s > 0


def test_a_trial_with_a_parent_is_timed_from_its_first_epoch():
    config = make_config().model_copy(update={"parent": ParentConfig(trial_id="0" * 12, epoch=7)})
    assert EpochTimer(make_images().arrays).time_epoch(config, limit_s=0.1).epoch_s > 0


def test_a_trial_that_cannot_be_built_says_why(monkeypatch):
    def refuse(*args):
        raise MemoryError("no room")

    watch = EpochTimer(make_images().arrays)
    monkeypatch.setattr(trainables.training.training, "build_net", refuse)
    with pytest.raises(ProbeFailed, match="an epoch cannot be timed: MemoryError: no room"):
        watch.time_epoch(make_config(), limit_s=0.1)


def test_a_later_round_of_gradient_boosting_is_timed_with_all_its_nets_and_without_the_round_before(monkeypatch):
    timed = []

    def build(config, shape):
        timed.append((config.boost.round, config.boost.former))
        return build_net(config, shape)

    monkeypatch.setattr(trainables.training.training, "build_net", build)
    images = make_images()
    boost = BoostConfig(kind="gradient", former=ParentConfig(trial_id="0" * 12, epoch=3), round=3)
    config = make_config(images.data_id).model_copy(update={"boost": boost})
    assert EpochTimer(images.arrays).time_epoch(config, limit_s=0.1).epoch_s > 0
    assert set(timed) == {(3, None)}
