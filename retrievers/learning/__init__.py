"""Training rankers from questions whose evidence is known: what those who measure rankers use."""

from mnemon.retrievers.train import Question, Recipe, train_trunk
from mnemon.retrievers.trunk import Trunk

__all__ = ["Question", "Recipe", "Trunk", "train_trunk"]
