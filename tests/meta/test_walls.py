"""Imports go one way, through faces, and heavy libraries stay behind their doors. See docs/index.md."""

import subprocess
import sys

import pytest

from tests.meta.house import Import, imports, is_package, modules, package_of

# Who may import whom: only downwards. `evals` stands outside and looks at all; nobody looks at it.
HEIGHT = {"retrievers": 0, "memory": 1, "profiles": 2, "agent": 3, "evals": 4, "mnemon": 5}
# All may use these; they use only each other.
GROUND = ("mnemon.errors", "mnemon.models", "mnemon.settings", "mnemon.sqlite_log")

HEAVY = (
    *(
        "torch",
        "transformers",
        "sentence_transformers",
        "tokenizers",
        "safetensors",
        "huggingface_hub",
        "peft",
    ),
    *("faiss", "chromadb", "langgraph", "langchain_core", "langsmith", "dateparser", "nltk", "matplotlib"),
    *(
        "sklearn",
        "scipy",
        "openai",
        "mem0",
        "rouge_score",
        "sacrebleu",
        "gguf",
        "llama_cpp",
        "llguidance",
        "rank_bm25",
    ),
)
LIGHT = ("mnemon", "mnemon.models", "mnemon.settings", "mnemon.testing", "mnemon.doctor")
LIGHT += ("mnemon.retrievers", "mnemon.memory", "mnemon.profiles", "mnemon.agent", "mnemon.evals")
CLI_MODULES = tuple(name for name in modules() if name.startswith("mnemon.cli"))
CLI_HEAVY = (*HEAVY, "numpy", "pydantic", "sqlite3", "rich", "platformdirs", "asyncio")


def is_ground(module: str) -> bool:
    return any(module == ground or module.startswith(ground + ".") for ground in GROUND)


def is_double_for_evals(found: Import) -> bool:
    return package_of(found.module) == "evals" and found.target == "mnemon.testing"


def ours() -> list[Import]:
    return [found for found in imports() if found.target == "mnemon" or found.target.startswith("mnemon.")]


def shown(broken: list[Import]) -> str:
    return "\n".join(f"{found.module}:{found.line} imports {found.target}" for found in broken)


def test_imports_go_one_way() -> None:
    broken = []
    for found in ours():
        importer, imported = package_of(found.module), package_of(found.target)
        if importer == imported or is_ground(found.target) or found.target == "mnemon":
            continue
        if is_double_for_evals(found):
            continue
        is_door = found.module.startswith("mnemon.cli.")  # the command line may ask evals for its commands
        if HEIGHT[imported] > HEIGHT[importer] or (imported == "evals" and not is_door):
            broken.append(found)
    assert not broken, shown(broken)


def test_only_the_front_door_uses_the_front_door() -> None:
    """`import mnemon`, for its version, is allowed anywhere. `evals` runs systems on the shipped doubles."""
    broken = [
        found
        for found in ours()
        if package_of(found.target) == "mnemon"
        and package_of(found.module) != "mnemon"
        and not is_ground(found.target)
        and found.target != "mnemon"
        and not is_double_for_evals(found)
    ]
    assert not broken, shown(broken)


def test_the_ground_floor_stands_on_nothing_of_ours() -> None:
    broken = [found for found in ours() if is_ground(found.module) and not is_ground(found.target)]
    assert not broken, shown(broken)


def test_packages_are_entered_by_their_face() -> None:
    """The command line's module of an area belongs to that area and may look behind its face."""
    broken = [
        found
        for found in ours()
        if package_of(found.module) != package_of(found.target)
        and not is_ground(found.target)
        and not is_package(found.target)
        and not is_double_for_evals(found)
        and not found.module.startswith("mnemon.cli.")
    ]
    assert not broken, shown(broken)


@pytest.mark.parametrize(
    ("folder", "forbidden"),
    [
        ("mnemon.agent.decoding", ("mnemon.memory", "mnemon.retrievers", "mnemon.profiles", "langgraph")),
        ("mnemon.memory", ("torch", "transformers", "langgraph", "langchain_core", "llguidance", "openai")),
        ("mnemon.retrievers", ("langgraph", "langchain_core", "openai")),
        ("mnemon.profiles", ("langgraph", "langchain_core")),
    ],
)
def test_what_a_package_must_not_know(folder: str, forbidden: tuple[str, ...]) -> None:
    broken = [
        found
        for found in imports()
        if (found.module + ".").startswith(folder + ".")
        and any((found.target + ".").startswith(name + ".") for name in forbidden)
    ]
    assert not broken, shown(broken)


def test_no_module_of_the_house_is_imported_by_its_folder_name() -> None:
    """`import memory` works in the repository and nowhere else."""
    folders = {"agent", "memory", "retrievers", "profiles", "evals"}
    broken = [found for found in imports() if found.target.split(".")[0] in folders]
    assert not broken, shown(broken)


def loaded_by(module: str) -> set[str]:
    code = f"import {module}, sys; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in done.stdout.split()}


@pytest.mark.parametrize("module", LIGHT)
def test_a_light_module_loads_nothing_heavy(module: str) -> None:
    assert loaded_by(module).isdisjoint(HEAVY), sorted(loaded_by(module) & set(HEAVY))


def test_the_command_line_loads_nothing_heavy() -> None:
    """All areas in one process: what one of them loads would slow the help of all."""
    heavy = loaded_by(", ".join(name for name in CLI_MODULES)) & set(CLI_HEAVY)
    assert not heavy, sorted(heavy)
