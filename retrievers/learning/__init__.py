"""Training rankers from questions whose evidence is known: what those who measure rankers use."""

from mnemon.retrievers.train import Question, adapt
from mnemon.retrievers.trunk import Trunk

__all__ = ["Question", "Trunk", "adapt"]
