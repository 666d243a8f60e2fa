"""The prompts of this package: files with one owner, filled in by name."""

from importlib.resources import files


def template(prompt: str, **values: str) -> str:
    text = files("mnemon.agent").joinpath(f"prompts/{prompt}.md").read_text(encoding="utf-8").strip()
    return text.format(**values)
