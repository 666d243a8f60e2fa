"""The page on deployment names metrics, and commands in its alerts, that exist."""

import re

from mnemon.agent.server.meters import Meters
from tests.meta.house import ROOT


def test_every_metric_on_the_page_is_told():
    page = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\bmnemon_(?:re|to|fi|fo|ro)\w+", page))
    families = {family.name for family in Meters().registry.collect()} | {"mnemon_rows", "mnemon_forwards"}
    told = families | {f"{name}{end}" for name in families for end in ("_total", "_bucket")}
    assert named <= told, named - told
    assert families - {"mnemon_replies", "mnemon_requests", "mnemon_refused", "mnemon_tokens", "mnemon_rows",
                       "mnemon_forwards"} <= named, "a meter that the page does not name"  # fmt: skip
