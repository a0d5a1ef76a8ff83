"""A year of nights: each has a name of its own and no date is left out, in the zone that `nightly` and the deploy files name."""

from __future__ import annotations

import re
import zoneinfo
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import jinja2
import pytest

from runner.config.checks import read_spec
from runner.config.time_zone import find_zone
from runner.nights.night import name_night
from tests.deploy.commands import DEPLOY, airflow_arguments, every_nightly_command, kuberay, workflow
from tests.sample_runs.sample_run import make_spec
from tests.sample_runs.sweeps import ROOT
from trainables.errors import SweepFileError

DAYS = [date(2026, 1, 1) + timedelta(days) for days in range(365)]
NAMES = [day.isoformat() for day in DAYS]

ZONES = ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Auckland"]
"""North, west and south of the equator, where summer begins in October, and one without a change."""


def firings(zone: str, clock: str = "01:00") -> list[datetime]:
    """When a clock of this zone starts the nights of 2026."""
    return [datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=ZoneInfo(zone)).astimezone(UTC) for day in DAYS]


@pytest.mark.parametrize("delay_h", [0, 0.5, 3, 12, 21.9])
@pytest.mark.parametrize("zone", ZONES)
def test_each_night_of_a_year_has_its_own_name_however_late_it_begins_on_its_day(zone, delay_h):
    late = timedelta(hours=delay_h)  # 21.9 and not 22.9: the day on which summer begins has 23 hours
    found = find_zone(zone, "nightly.zone")
    assert [name_night(begin + late, found) for begin in firings(zone)] == NAMES


@pytest.mark.parametrize("clock", ["00:00", "01:30", "02:30", "20:00", "23:30"])
@pytest.mark.parametrize("zone", ZONES)
def test_and_so_it_has_at_any_hour_those_that_a_change_of_clocks_skips_or_repeats_too(zone, clock):
    found = find_zone(zone, "nightly.zone")
    assert [name_night(begin, found) for begin in firings(zone, clock)] == NAMES


def test_a_date_in_utc_would_double_one_night_and_skip_another_where_the_clock_is_local():
    names = [name_night(begin) for begin in firings("Europe/Berlin")]
    assert len(set(names)) < len(DAYS)
    assert names[NAMES.index("2026-03-29")] == names[NAMES.index("2026-03-30")]


def test_the_command_takes_the_date_in_the_zone_of_the_sweep(monkeypatch):
    import runner.nights.night
    from runner.cli.nightly import _run

    seen = []

    def stop(spec, run, *more):
        seen.append(run)
        raise SweepFileError("enough")

    now = datetime(2026, 3, 29, 23, 30, tzinfo=UTC)
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(runner.nights.night, "datetime", SimpleNamespace(now=lambda zone: now.astimezone(zone)))
    monkeypatch.setattr(runner.nights.night, "run_night", stop)
    for zone in ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"):
        with pytest.raises(SweepFileError, match="enough"):
            _run("sweeps/nightly.yaml", [f"nightly.zone={zone}"], False, None, None, 3)
    assert seen == ["2026-03-29", "2026-03-30", "2026-03-29", "2026-03-30"]


@pytest.mark.parametrize(
    ("zone", "hint"),
    [
        ("europe/berlin", "did you mean Europe/Berlin?"),
        ("new york", "did you mean America/New_York?"),
        ("Europe", "take one such as"),
        ("../../etc/passwd", "take one such as"),
        ("CEST", ""),
        ("localtime", "take one such as"),
        ("GMT+2", "take one such as"),  # Etc/GMT+2 is two hours behind UTC, not ahead
        ("UTC-05:00", "take one such as"),
        ("berlin", "did you mean Europe/Berlin?"),
        ('""', "take one such as"),
    ],
)
def test_an_unknown_zone_is_one_sentence(zone, hint):
    with pytest.raises(SweepFileError) as caught:
        read_spec(str(ROOT / "sweeps" / "nightly.yaml"), [f"nightly.zone={zone}"])
    assert len(str(caught.value).splitlines()) == 1
    assert "nightly.zone is" in str(caught.value)
    assert "no time zone of the IANA database" in str(caught.value)
    assert hint in str(caught.value)


def test_where_no_zone_is_known_utc_still_is_and_the_error_says_what_to_install(tmp_path):
    zoneinfo.reset_tzpath(to=[str(tmp_path)])
    zoneinfo.ZoneInfo.clear_cache()
    try:
        assert find_zone("UTC", "nightly.zone") is UTC
        with pytest.raises(SweepFileError, match="install tzdata"):
            find_zone("Europe/Berlin", "nightly.zone")
    finally:
        zoneinfo.reset_tzpath()


def test_the_zone_is_no_part_of_a_runs_name_and_a_record_is_read_whatever_zones_this_machine_has():
    plain, zoned = make_spec("runs"), make_spec("runs", nightly={"zone": "Mars/Base"})
    assert plain.run_id("d1") == zoned.run_id("d1")
    assert zoned.nightly.zone == "Mars/Base"


def zone_in(words: list[str]) -> str:
    """The zone that a night has, by its command line or else by its sweep."""
    overrides = [word for word in words[1:] if "=" in word and not word.startswith("--")]
    return read_spec(str(ROOT / words[0]), overrides).nightly.zone


def test_every_deploy_file_starts_its_nights_by_the_clock_of_the_zone_that_names_them():
    commands = every_nightly_command()
    (cron,) = re.findall(r"^CRON_TZ=(\S+)$", (DEPLOY / "cron").read_text(), re.MULTILINE)
    assert zone_in(commands["cron"]) == zone_in(commands["cron with ray submit"]) == cron
    (schedule,) = workflow()[True]["schedule"]
    assert zone_in(commands["GitHub Actions"]) == schedule["timezone"]
    assert zone_in(commands["RayCronJob"]) == kuberay("raycronjob.yaml")["spec"]["timeZone"]
    assert zone_in(commands["RayJob"]) == zone_in(commands["RayCronJob"])
    assert all(ZoneInfo(zone) for zone in (cron, schedule["timezone"]))


@pytest.mark.parametrize("zone", ZONES)
def test_airflows_template_names_each_night_by_the_day_on_which_it_was_due(zone):
    template = jinja2.Template(airflow_arguments()["bash_command"])
    dag = SimpleNamespace(timezone=ZoneInfo(zone))
    found = [template.render(dag=dag, dag_run=SimpleNamespace(run_after=begin)) for begin in firings(zone)]
    assert [each.rpartition(" ")[2] for each in found] == NAMES
