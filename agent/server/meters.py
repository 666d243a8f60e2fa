"""What Prometheus is told: how many, how long, how full. Never who, and never a word that was said."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE = CONTENT_TYPE_LATEST
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
            "mnemon_replies_writing", "Replies that are being written.", registry=self.registry
        )
        self.waiting = Gauge(
            "mnemon_replies_waiting", "Replies that wait for their turn.", registry=self.registry
        )
        self.refused = Counter(
            "mnemon_refused", "Requests that were turned away, by reason.", ("code",), registry=self.registry
        )

    def page(self) -> bytes:
        return generate_latest(self.registry)
