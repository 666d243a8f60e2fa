"""What one person's choices say, over any features: recalled turns, whole replies, next tokens."""

from mnemon.retrievers.head.posterior import Comparison, Head

__all__ = ["Comparison", "Head"]
