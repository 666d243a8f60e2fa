"""A steering as an argument of a request to vLLM, whose `vllm_xargs` hold texts and numbers: JSON as text.

Knows no tensors: who only asks loads no torch.
"""

import json
from collections.abc import Mapping
from typing import Any

from mnemon.agent.decoding.linear import check_linear
from mnemon.agent.decoding.steering import Steering
from mnemon.agent.model_server.steering_data import as_data, from_data
from mnemon.errors import UsageError

ARGUMENT = "mnemon"  # of SamplingParams.extra_args; over HTTP, of vllm_xargs


def as_argument(steering: Steering) -> str:
    """A steering as such an argument; UsageError where one model's logits cannot carry it."""
    check_linear(steering)
    return json.dumps(as_data(steering), ensure_ascii=False)


def asked_of(extra_args: Mapping[str, Any] | None) -> Steering | None:
    """The steering that a request asks for; UsageError, which is a ValueError, where it asks wrongly."""
    given = (extra_args or {}).get(ARGUMENT)
    if given is None:
        return None
    try:
        data = json.loads(given)
    except (TypeError, ValueError) as e:
        raise UsageError(f"{ARGUMENT}={given!r:.80} is no steering written as JSON.") from e
    steering = from_data(data)
    check_linear(steering)
    return steering
