"""The compose file against what it names: our own commands, settings and ports. No container is started."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from mnemon.cli.app import build
from mnemon.cli.model_server import PORT as MODEL_PORT
from mnemon.cli.serve import PORT as WEB_PORT
from mnemon.settings import load_settings
from tests.meta.house import ROOT

DEPLOY = ROOT / "deploy"
OURS = ("weights", "model", "web", "work")
SECRETS = {"POSTGRES_PASSWORD": "a" * 64, "MNEMON_DB_PASSWORD": "b" * 64, "MNEMON_MODEL_KEY": "c" * 64}
_VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


@pytest.fixture(scope="module")
def compose() -> dict:
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(_VARIABLE.sub(lambda found: SECRETS.get(found[1], found[3] or ""), text))


def environment(compose: dict, service: str) -> dict[str, str]:
    return compose["services"][service].get("environment", {})


def options(arguments: list[str]) -> dict[str, object]:
    """What our own command line makes of a service's command; it refuses what it does not know."""
    command: Any = typer.main.get_command(build())
    context = command.make_context("mnemon", list(arguments))
    while hasattr(command, "resolve_command"):  # a group of commands
        name, inner, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        command, context = inner, inner.make_context(name, rest, parent=context)
    return context.params


@pytest.mark.parametrize("service", OURS)
def test_every_command_is_one_of_ours(compose, service):
    assert options(compose["services"][service]["command"]) is not None


def test_a_command_that_is_none_would_be_noticed():
    for strange in (["serve", "--wokers", "2"], ["sevre"], ["serve", "--port", "many"]):
        with pytest.raises(Exception, match=r"No such|valid integer"):
            options(strange)


@pytest.mark.parametrize("service", OURS)
def test_every_setting_is_one_of_ours(compose, service):
    given = environment(compose, service)
    settings = load_settings(environment={**given, "MNEMON_HOME": "/var/lib/mnemon"})
    if service in ("web", "work"):
        assert settings.db == "postgresql://mnemon@db:5432/mnemon"
        assert given["PGPASSWORD"] == SECRETS["MNEMON_DB_PASSWORD"]


def test_nothing_is_published_but_the_web_port_on_loopback(compose):
    published = {name: one["ports"] for name, one in compose["services"].items() if "ports" in one}
    assert published == {"web": [f"127.0.0.1:{WEB_PORT}:{WEB_PORT}"]}
    assert compose["networks"]["inside"] == {"internal": True}
    outside = {name for name, one in compose["services"].items() if "outside" in one["networks"]}
    assert outside == {"weights", "web"}


def test_ports_and_keys_agree(compose):
    web, model = environment(compose, "web"), environment(compose, "model")
    assert web["MNEMON_MODEL"] == f"http://model:{MODEL_PORT}"
    assert web["MNEMON_MODEL_KEY"] == model["MNEMON_MODEL_KEY"] == SECRETS["MNEMON_MODEL_KEY"]
    for service, port in (("web", WEB_PORT), ("model", MODEL_PORT)):
        params = options(compose["services"][service]["command"])
        assert (params["host"], params["port"]) == ("0.0.0.0", port)
        assert f"http://127.0.0.1:{port}/health" in " ".join(
            compose["services"][service]["healthcheck"]["test"]
        )


def test_who_is_needed_is_waited_for(compose):
    services = compose["services"]
    for name, one in services.items():
        for needed, how in one.get("depends_on", {}).items():
            assert needed in services
            if how["condition"] == "service_healthy":
                assert "healthcheck" in services[needed], f"{name} waits for the health of {needed}"
    assert set(services["web"]["depends_on"]) == {"db", "model"}


def test_every_stop_is_longer_than_what_it_waits_for(compose):
    for service in ("web", "model"):
        given = compose["services"][service]["stop_grace_period"]
        seconds = int(given[:-1]) * {"s": 1, "m": 60}[given[-1]]
        assert seconds > options(compose["services"][service]["command"])["grace"]


def test_no_service_of_ours_is_root_or_may_become_it(compose):
    for service in OURS:
        one = compose["services"][service]
        assert one["cap_drop"] == ["ALL"]
        assert one["security_opt"] == ["no-new-privileges:true"]
        assert one["read_only"] is True
    lines = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").splitlines()
    assert "USER mnemon" in lines
    assert lines.index("USER mnemon") < lines.index('ENTRYPOINT ["mnemon"]')


def test_the_example_names_every_variable_and_no_secret_has_a_value():
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    example = dict(
        line.split("=", 1)
        for line in (DEPLOY / ".env.example").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    )
    assert set(example) == {found[0] for found in _VARIABLE.findall(text)}
    assert all(example[name] == "" for name in SECRETS)
    required = {name for name, mark, _ in _VARIABLE.findall(text) if mark == "?"}
    assert required == set(SECRETS)


def test_the_image_is_made_of_what_there_is():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    dockerfile = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    extras = re.search(r"'\.\[([\w,]+)\]'", dockerfile)
    assert set(extras[1].split(",")) <= set(project["project"]["optional-dependencies"])
    copied = [
        name for line in re.findall(r"^COPY (?!--)(.+) \S+$", dockerfile, re.M) for name in line.split()
    ]
    assert all((ROOT / name).exists() for name in copied)
    sources = {path.split("/")[0] for path in project["tool"]["setuptools"]["package-dir"].values()}
    assert sources <= set(copied)
    let_in = set((DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").replace("!", "").split())
    assert set(copied) <= let_in
    assert project["project"]["readme"] in copied


def test_volumes_hold_what_has_to_stay(compose):
    assert set(compose["volumes"]) == {"db", "home"}
    home = re.search(r"MNEMON_HOME=(\S+)", (DEPLOY / "Dockerfile").read_text(encoding="utf-8"))
    for service in OURS:
        assert compose["services"][service]["volumes"] == [f"home:{home[1]}"]
    assert Path(compose["services"]["db"]["volumes"][1].split(":")[0]).name == "postgres-init.sh"
