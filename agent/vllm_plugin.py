"""The plug-in for vLLM: rules over words at every step, for the requests that ask for them.

Installed beside vLLM it is found by itself (entry point `vllm.logits_processors`), and does nothing for
requests without the argument `mnemon`. Follows vLLM's `LogitsProcessor` of its V1 engine; see docs/vllm.md.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from mnemon.agent.codec import Codec
from mnemon.agent.vllm_argument import asked_of
from mnemon.agent.vllm_rows import SteeredRows
from mnemon.errors import ModelError

if TYPE_CHECKING:
    import torch

try:
    from vllm.v1.sample.logits_processor import LogitsProcessor
except ImportError:  # nobody but vLLM loads the class, but the module can be looked at anywhere
    LogitsProcessor = object


class RulesProcessor(LogitsProcessor):  # type: ignore[misc]  # vLLM is not there when this is checked
    @classmethod
    def validate_params(cls, sampling_params: Any) -> None:
        """Called when a request comes in; a ValueError is its refusal."""
        asked_of(sampling_params.extra_args)

    def __init__(self, vllm_config: Any, device: "torch.device", is_pin_memory: bool) -> None:  # noqa: ARG002
        model = vllm_config.model_config
        self._rows = SteeredRows(Codec(tokenizer_folder(model.tokenizer, model.tokenizer_revision)))

    def is_argmax_invariant(self) -> bool:
        return False

    def needs_output_token_ids(self) -> bool:
        return True  # the rules read what was written, so placeholders for it will not do

    def update_state(self, batch_update: Any) -> None:
        if batch_update is None:
            return
        for place in batch_update.removed:
            self._rows.drop(place)
        for place, params, _, written in batch_update.added:
            self._rows.put(place, asked_of(params.extra_args), written)
        for source, target, direction in batch_update.moved:
            self._rows.move(source, target, swap=direction.name == "SWAP")

    def apply(self, logits: Tensor) -> Tensor:
        return self._rows.apply(logits) if len(self._rows) else logits


def tokenizer_folder(name: str, revision: str | None) -> Path:
    """Where the tokenizer lies that vLLM has already read: a folder, or the hub's cache."""
    if Path(name).is_dir():
        return Path(name)
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(name, "tokenizer.json", revision=revision)
    if not isinstance(found, str):
        raise ModelError(
            f"The tokenizer of {name!r} has no tokenizer.json that could be read.",
            hint="The rules need a fast tokenizer: serve the model from a folder that has one.",
        )
    return Path(found).parent
