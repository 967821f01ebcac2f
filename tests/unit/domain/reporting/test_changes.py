from dataclasses import replace

from reports import NAN, champion, summary

from domain.reporting.changes import InputFile, Replacement, SettingChange, changes_between

NOTHING = ({}, {})


def between(outcomes=NOTHING, champions=NOTHING, former=None, now=None, files=()):
    return changes_between(former or summary(), now or summary(), outcomes, champions, files)


def test_every_segment_of_either_run_makes_one_transition():
    before = {"a": "trained", "b": "trained", "c": "failed", "d": "reused", "e": "reused"}
    after = {"a": "reused", "b": "reused", "c": "trained", "e": "reused", "f": "trained", "g": "failed"}
    changes = between((before, after)).transitions
    assert [(t.before, t.after, t.segments, t.examples) for t in changes] == [
        ("new", "failed", 1, ("g",)),
        ("reused", "gone", 1, ("d",)),
        ("failed", "trained", 1, ("c",)),
        ("new", "trained", 1, ("f",)),
        ("trained", "reused", 2, ("a", "b")),
        ("reused", "reused", 1, ("e",)),
    ]
    assert [t.moved for t in changes] == [True] * 5 + [False]


def test_examples_are_few_and_the_first_by_name():
    names = [f"s{number}" for number in range(9)]
    [transition] = between((dict.fromkeys(names, "trained"), dict.fromkeys(reversed(names), "reused"))).transitions
    assert transition.examples == ("s0", "s1", "s2")


def test_outcomes_missing_from_the_lake_are_not_new_segments():
    assert between(({}, {"a": "trained"})).transitions == ()


def test_champions_with_another_fingerprint_are_replaced():
    before = {"a": champion(1.0), "b": champion(1.0), "c": champion(1.0), "gone": champion(1.0)}
    after = {"a": champion(1.0), "b": champion(2.0), "c": champion(0.5, "ridge"), "new": champion(3.0)}
    changes = between(champions=(before, after))
    assert changes.replaced == 4
    assert set(changes.replacements) == {
        Replacement("theta", "theta", 1),
        Replacement("theta", "ridge", 1),
        Replacement("theta", "", 1),
        Replacement("", "theta", 1),
    }
    assert (changes.better, changes.equal, changes.worse) == (1, 0, 1)
    assert [shift.segment for shift in changes.gains + changes.losses] == ["c", "b"]


def test_gains_and_losses_are_the_largest_moves_and_hold_no_small_or_unknown_ones():
    count = 20
    before = {f"s{i:02}": champion(10.0, fingerprint="x") for i in range(count)} | {"none": champion(NAN)}
    after = {f"s{i:02}": champion(10.0 + i - 9, fingerprint="y") for i in range(count)} | {"none": champion(1.0)}
    after["s09"] = champion(10.04, fingerprint="y")
    changes = between(champions=(before, after))
    assert (changes.better, changes.equal, changes.worse) == (9, 2, 10)
    assert [shift.segment for shift in changes.gains] == ["s00", "s01", "s02", "s03", "s04"]
    assert [shift.segment for shift in changes.losses] == ["s19", "s18", "s17", "s16", "s15"]


def test_a_release_that_is_no_longer_kept_is_not_compared():
    changes = between(champions=(None, {"a": champion(1.0)}))
    assert (changes.replaced, changes.replacements, changes.worse) == (None, (), 0)


def test_settings_and_versions_are_listed_where_they_differ():
    former = summary(config={"horizon": "8", "gone": "1", "task": "forecast"}, versions={"numpy": "2.1"})
    now = summary(config={"horizon": "9", "task": "forecast", "new": "2"}, versions={"numpy": "2.2"})
    changes = between(former=former, now=now)
    assert changes.settings == (
        SettingChange("horizon", "8", "9"),
        SettingChange("new", "–", "2"),
        SettingChange("gone", "1", "–"),
    )
    assert changes.versions == (SettingChange("numpy", "2.1", "2.2"),)
    assert between(former=now, now=replace(now)).settings == ()


def test_the_largest_files_are_listed_and_the_others_counted():
    files = [InputFile(f"{number:02}.csv", number, 0) for number in range(14)]
    changes = between(files=files)
    assert [file.rows for file in changes.files] == list(range(13, 3, -1))
    assert changes.files_omitted == 4
