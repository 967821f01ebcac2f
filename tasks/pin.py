"""Pin one segment to a registered version of its model, or end a pin; either makes a release."""

from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow.dataset as ds

from adapters.registry import Registry, StoredVersion
from domain.data.model_record import ModelRecord
from domain.data.segment_search import find_segment, suggest_closest
from domain.data.tables import CHALLENGERS, CHAMPIONS, SEGMENTS
from domain.errors import PromotionError, UnknownNameError
from models.features.feature_spec import FeatureSpec
from models.promotion.releases import PinSummary
from tasks.context import Run
from tasks.releases import champion_rows, of_current, revise_release
from tasks.workers.release import pinned_segments, pinning, unpinning
from tasks.workers.run_context import in_bucket

__all__ = ["pin_segment", "unpin_segment"]


@dataclass(frozen=True)
class _Place:
    """A segment or level that has a model, and its bucket."""

    segment: str
    model_name: str
    bucket: int


def pin_segment(run: Run, registry: Registry, segment: str, version: int) -> PinSummary:
    """Make a release in which this version is the segment's champion; challengers are held until the pin ends.

    version : number in the registry. The model itself comes from the kept releases, the challengers, or the files of
    the registry. Raises UnknownNameError for a segment or version that does not exist.
    """
    in_force = of_current(champion_rows(run, ["segment", "model_name", "model_version", "fingerprint", "kind"]))
    if not in_force:
        raise PromotionError(f"fleet {run.fleet.name} has no release yet; run `myriad promote {run.fleet.name}` first")
    place = _place(run, segment)
    stored = _stored(registry, place, version)
    release = int(in_force[0]["release"])
    pinned_model = (place.segment, version, stored.fingerprint, "pin")
    held = {(row["segment"], row["model_version"], row["fingerprint"], row["kind"]) for row in in_force}
    if pinned_model in held:
        return PinSummary(place.segment, place.model_name, version, pinned=True, release=release, changed=False)
    change = pinning(_model(run, registry, place, stored), version, datetime.now(UTC))
    made = revise_release(run, release, release, {place.bucket: change})
    return PinSummary(place.segment, place.model_name, version, pinned=True, release=made, changed=True)


def unpin_segment(run: Run, segment: str) -> PinSummary:
    """Make a release in which the segment keeps its champion, and challengers may replace it again."""
    pins = {pin.segment: pin for pin in pinned_segments(run.table(CHAMPIONS))}
    key = find_segment([segment], list(pins))
    if key is None:
        pinned = ", ".join(list(pins)[:20]) or "none"
        raise UnknownNameError(f"fleet {run.fleet.name}: segment {segment!r} is not pinned; pinned: {pinned}")
    pin = pins[key]
    made = revise_release(run, pin.release, pin.release, {pin.bucket: unpinning(key, datetime.now(UTC))})
    return PinSummary(key, pin.model_name, pin.version, pinned=False, release=made, changed=True)


def _place(run: Run, name: str) -> _Place:
    """Find a segment or level by name among those that have a champion in force or a challenger."""
    columns = ["segment", "model_name", "bucket"]
    rows = [*run.table(CHALLENGERS).read(columns).to_pylist(), *of_current(champion_rows(run, columns))]
    places = {row["segment"]: _Place(row["segment"], row["model_name"], row["bucket"]) for row in rows}
    key = find_segment([name], list(places))
    if key is not None:
        return places[key]
    known = run.table(SEGMENTS).read(["segment"])["segment"].to_pylist()
    bare = find_segment([name], known)
    if bare is not None:
        raise UnknownNameError(
            f"fleet {run.fleet.name}: segment {bare!r} has no model: neither champion nor challenger"
        )
    raise UnknownNameError(f"fleet {run.fleet.name}: no segment or level {name!r}{suggest_closest(name, list(places))}")


def _stored(registry: Registry, place: _Place, version: int) -> StoredVersion:
    stored = registry.stored([place.model_name])
    for candidate in stored:
        if candidate.version == version:
            return candidate
    versions = ", ".join(str(candidate.version) for candidate in stored) or "none"
    raise UnknownNameError(
        f"segment {place.segment!r}: model {place.model_name} has no version {version}; registered versions: {versions}"
    )


def _model(run: Run, registry: Registry, place: _Place, stored: StoredVersion) -> ModelRecord:
    """Return the model of a version with everything that scoring needs."""
    same = (ds.field("segment") == place.segment) & (ds.field("fingerprint") == stored.fingerprint)
    for spec in (CHAMPIONS, CHALLENGERS):
        rows = run.table(spec).read(where=in_bucket(place.bucket), rows=same).to_pylist()
        intact = [model for model in map(ModelRecord.from_row, rows) if not model.graph_failure()]
        if intact:
            return _usable(run, intact[0], stored)
    fetched = registry.fetch(stored)
    what = f"segment {place.segment!r}: version {stored.version} of {place.model_name}"
    if not fetched.record:
        versions = {
            row["model_version"]
            for row in champion_rows(run, ["segment", "model_version"])
            if row["segment"] == place.segment
        }
        raise PromotionError(
            f"{what} was registered without what scoring needs; versions of kept releases: {sorted(versions)}"
        )
    try:
        model = ModelRecord.from_json(fetched.record, fetched.onnx)
    except (KeyError, ValueError) as exc:
        raise PromotionError(f"{what}: its record in the registry cannot be read: {exc}") from exc
    if failure := model.graph_failure():
        raise PromotionError(f"{what} is not pinned: {failure.reason}")
    return _usable(run, model, stored)


def _usable(run: Run, model: ModelRecord, stored: StoredVersion) -> ModelRecord:
    """Return the model if the fleet still has its features and needs no more steps than it forecasts."""
    contract, features = FeatureSpec.from_json(model.contract), run.fleet.features
    gone = ({*contract.numeric} - {*features.numeric}) | ({*contract.categories} - {*features.categorical})
    what = f"segment {model.segment!r}: version {stored.version} of {stored.name}"
    if gone:
        raise PromotionError(f"{what} reads {', '.join(sorted(gone))}, which fleet {run.fleet.name} no longer has")
    if run.fleet.task_type.periodic and contract.horizon < run.fleet.steps:
        raise PromotionError(f"{what} forecasts {contract.horizon} periods, fleet {run.fleet.name} {run.fleet.steps}")
    return model
