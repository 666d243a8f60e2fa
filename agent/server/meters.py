"""What Prometheus is told: how many, how long, how full. Never who, and never a word that was said.

Where several workers serve, each writes its numbers to a folder that all of them read: whichever is asked
tells the sum.
"""

import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

CONTENT_TYPE = CONTENT_TYPE_LATEST
SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client's variable, read when it is imported
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class Meters:
    """The meters of one application, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ("method", "route", "status")
        self.requests = Counter(
            "mnemon_requests", "Requests that were answered.", labels, registry=self.registry
        )
        self.seconds = Histogram(
            "mnemon_request_seconds",
            "From a request's headers to the end of its answer.",
            ("route",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.replies = Counter(
            "mnemon_replies", "Replies, by how they ended.", ("ended",), registry=self.registry
        )
        self.first_piece = Histogram(
            "mnemon_first_piece_seconds",
            "From a turn's arrival to the first piece of its reply.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.tokens = Counter(
            "mnemon_tokens", "Tokens that models read and wrote.", ("kind",), registry=self.registry
        )
        self.writing = Gauge(
            "mnemon_replies_writing",
            "Replies that are being written.",
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self.waiting = Gauge(
            "mnemon_replies_waiting",
            "Replies that wait for their turn.",
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self.refused = Counter(
            "mnemon_refused", "Requests that were turned away, by reason.", ("code",), registry=self.registry
        )

    def page(self, *, jobs: tuple[int, int] | None = None) -> bytes:
        """What there is to scrape. `jobs`: of the database, waiting and left with an error."""
        folder, every = os.environ.get(SHARED_FOLDER), self.registry
        if folder is not None:
            every = CollectorRegistry()
            MultiProcessCollector(every, path=folder)  # type: ignore[no-untyped-call]
        page = generate_latest(every)
        return page if jobs is None else page + _told_of_jobs(*jobs)


def _told_of_jobs(waiting: int, left: int) -> bytes:
    told = GaugeMetricFamily(
        "mnemon_jobs", "Jobs in the database, waiting or left with an error.", labels=["state"]
    )
    told.add_metric(["waiting"], waiting)
    told.add_metric(["left"], left)
    registry = CollectorRegistry()
    registry.register(_Told(told))
    return generate_latest(registry)


class _Told(Collector):
    def __init__(self, family: GaugeMetricFamily) -> None:
        self._family = family

    def collect(self) -> list[GaugeMetricFamily]:
        return [self._family]
