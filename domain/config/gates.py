"""Section `gates`: limits of a promotion."""

from typing import Literal

from pydantic import Field

from domain.config.strict import Strict

__all__ = ["Gates"]


class Gates(Strict):
    """Limits that a challenger must pass before it becomes champion."""

    baseline_tolerance: float = Field(
        0.0, ge=0, description="A challenger may be worse than the naive baseline by this share."
    )
    champion_tolerance: float = Field(
        0.02, ge=0, description="A challenger may be worse than the champion by this share."
    )
    insufficient_evidence: Literal["backtest", "hold", "promote"] = Field(
        "backtest", description="Decision if there are too few rows after both cut-offs."
    )
    min_live_rows: int = Field(4, ge=1, description="Rows after both cut-offs that suffice to compare on live data.")
    max_parity_error: float = Field(
        1e-4,
        gt=0,
        description="Largest difference between ONNX and native predictions, relative to the segment's scale.",
    )
    max_model_bytes: int = Field(2_000_000, gt=0, description="Largest size of an ONNX model.")
    max_latency_ms: float = Field(50.0, gt=0, description="Advisory: a slower model is noted, never held.")
    worst_metric: float | None = Field(None, gt=0, description="A challenger with a worse backtest metric is held.")
    max_failed_share: float = Field(
        0.5, ge=0, le=1, description="If a larger share of the segments fails a gate, nothing is promoted."
    )
    keep_releases: int = Field(10, ge=2, description="Releases kept for rollback.")
