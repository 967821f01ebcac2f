"""Formatting of numbers, shares, durations, sizes and times for human readers."""

import math
from datetime import datetime

__all__ = [
    "MONTHS",
    "format_bytes",
    "format_change",
    "format_count",
    "format_difference",
    "format_duration",
    "format_metric",
    "format_number",
    "format_percent",
    "format_short",
    "format_timestamp",
]

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_METRICS = {"smape": "sMAPE", "wape": "WAPE", "mase": "MASE", "mae": "MAE", "rmse": "RMSE"}


def format_count(count: int, noun: str, *, zero: str = "0") -> str:
    """Format a count with its noun: `0 segments`, `1 segment`, `1,428 segments`; `zero` replaces the figure 0."""
    return f"{f'{count:,}' if count else zero} {noun}{'' if count == 1 else 's'}"


def format_metric(name: str, target: str = "") -> str:
    """Format the name of a metric with its unit: `sMAPE (%)`, `MAE (minutes)`, `WAPE`."""
    label = _METRICS.get(name, name)
    if name == "smape":
        return f"{label} (%)"
    return f"{label} ({target})" if target and name in ("mae", "rmse") else label


def format_change(before: float | None, after: float | None) -> str:
    """Format a relative change: `+4.2 %`, `about the same`, `same`; a dash where the ratio is undefined."""
    if before is None or after is None or not math.isfinite(before) or not math.isfinite(after):
        return "–"
    if before == after:
        return "same"
    if before == 0:
        return "–"
    share = (after - before) / abs(before)
    if abs(share) < 0.001:
        return "about the same"
    sign = "+" if share > 0 else "−"
    return f"{sign}{format_percent(abs(share), 1)}"


def format_number(value: float | None) -> str:
    """Format with four significant digits, at most four decimals and thousands separators; a dash for None and NaN."""
    if value is None or not math.isfinite(value):
        return "∞" if value is not None and math.isinf(value) else "–"
    if abs(value) < 0.001:
        return f"{value:.2g}"
    digits = max(0, 3 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(digits, 4)}f}"


def format_short(value: float) -> str:
    """Format an axis tick: `250`, `7,500`, `20k`, `1.5M`."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            return f"{value / (1e3 if unit == 'k' else limit):,.4g}{unit}"
    return f"{value:,.4g}"


def format_percent(share: float | None, digits: int = 0) -> str:
    """Format a share as a percentage; only exact shares read as 0 % or 100 %."""
    if share is None or not math.isfinite(share):
        return "–"
    if 0 < share < 0.001:
        return "<0.1 %"
    digits = max(digits, 1) if 0 < share < 0.01 or 0.995 <= share < 1 else digits
    text = f"{100 * share:.{digits}f}"
    return ">99.9 %" if share < 1 and float(text) >= 100 else f"{text} %"


def format_difference(before: int, after: int) -> str:
    """Format the difference of two counts: `+24`, `−3`, `same`."""
    return "same" if before == after else f"{after - before:+,}".replace("-", "−")


def format_duration(seconds: float) -> str:
    """Format seconds: `1.92 s`, `38.4 s`, `2 min 05 s`, `1 h 07 min`."""
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def format_bytes(size: int) -> str:
    """Format a size in MiB or GiB."""
    return f"{size / 2**30:.2f} GiB" if size >= 2**30 else f"{size / 2**20:,.0f} MiB"


def format_timestamp(text: str) -> str:
    """Format an ISO 8601 time to the minute, `7 Jan 2026, 10:15 UTC`; return any other text unchanged."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{time.day} {MONTHS[time.month - 1]} {time.year}, {time:%H:%M %Z}".strip()
