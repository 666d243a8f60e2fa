"""What people have elsewhere, taken into a person's memory: chats and notes, from the exports that services
give."""

from mnemon.memory.importers.conversation import Conversation, Options
from mnemon.memory.importers.run import READERS, Report, import_from

__all__ = ["READERS", "Conversation", "Options", "Report", "import_from"]
