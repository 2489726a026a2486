"""Prometheus metrics, all in one place. With PROMETHEUS_MULTIPROC_DIR set, `/metrics` adds up every process."""

from __future__ import annotations

import os

from prometheus_client import REGISTRY as ONE_PROCESS
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess

TRANSACTION_ATTEMPTS = Counter(
    "dropfront_transaction_attempts_total", "Attempts of retried transactions by result.", ["name", "event"]
)
ORDERS = Counter("dropfront_orders_total", "Orders accepted, by format.", ["format"])
REFUSALS = Counter("dropfront_refusals_total", "Requests refused, by code.", ["code"])
LANE_DEPTH = Gauge("dropfront_lane_depth", "Commands waiting in lanes.", ["lane"], multiprocess_mode="livesum")
LANE_BATCH = Histogram(
    "dropfront_lane_batch_size",
    "Commands a lane took at once.",
    ["lane"],
    buckets=(1, 2, 5, 10, 25, 50, 100, 200, 400, 800),
)
LANE_SECONDS = Histogram(
    "dropfront_lane_batch_seconds",
    "Time a lane's batch took, retries included.",
    ["lane"],
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2),
)
FRAME_DELAY = Histogram(
    "dropfront_frame_delay_seconds",
    "From a commit to its frame being published.",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1),
)
FRAMES_LOST = Counter("dropfront_frames_lost_total", "Frames that could not be published.")
DUE_WORK = Counter("dropfront_due_work_total", "Steps of due work by kind and result.", ["kind", "result"])
# Read from rows by whichever process looked last; with "max" an alarm would outlive its cause in a process that looks no more.
INVARIANT_BROKEN = Gauge(
    "dropfront_invariant_broken",
    "1 while a check fails, of the books or of any sale.",
    ["check"],
    multiprocess_mode="mostrecent",
)
DUE_WORK_PARKED = Gauge(
    "dropfront_due_work_parked",
    "Work that failed too often and waits for staff.",
    ["kind"],
    multiprocess_mode="mostrecent",
)
DUE_WORK_LATE = Gauge(
    "dropfront_due_work_late_seconds",
    "How long the oldest work that is due has been due.",
    ["kind"],
    multiprocess_mode="mostrecent",
)
STUCK_ROWS = Gauge(
    "dropfront_stuck_rows", "Rows set aside because they failed alone.", ["what"], multiprocess_mode="mostrecent"
)


def exposition() -> bytes:
    """All metrics in Prometheus' text format."""
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)
        return generate_latest(registry)
    return generate_latest(ONE_PROCESS)
