"""What is generated from the model, and that it is what is in the repository."""

from __future__ import annotations

import re
from pathlib import Path

from proxy.settings import ServerGroup, User, parse
from proxy.settings.describe import example, reference
from proxy.settings.model import SECTIONS, Admin, Log, fields_of
from proxy.settings.rule import Rule

ROOT = Path(__file__).parents[3]
ENVIRONMENT = {"TIDEGATE_AUTH_PASSWORD": "x"}


def test_example_in_the_repository_is_the_generated_one() -> None:
    assert (ROOT / "config/tidegate.toml").read_text() == example()


def test_reference_in_the_repository_is_the_generated_one() -> None:
    assert (ROOT / "docs/settings.md").read_text() == reference()


def test_example_works_as_it_stands() -> None:
    app = parse(example(), ENVIRONMENT).server_groups["app"]
    assert len(app.servers) == 3


def test_examples_in_the_guide_to_regions_are_valid() -> None:
    guide = (ROOT / "docs/fleet-sizing.md").read_text()
    files = re.findall(r"```toml\n(.*?)```", guide, re.DOTALL)
    environment = {**ENVIRONMENT, "BUS_PASSWORD": "x", "CACHE_PASSWORD": "x"}
    member, alone = (parse(file, environment) for file in files)
    assert member.fleet.bus_url is not None
    assert alone.fleet.bus_url is None
    for settings in (member, alone):
        for rule in settings.server_groups["app"].rules:
            assert rule.route is not None, "the first rule that matches decides alone"


def test_defaults_in_the_example_are_the_defaults() -> None:
    written_out = re.sub(r"(?m)^#(\w+ = (?!\.\.\.))", r"\1", example())
    assert written_out.count("\n#") < example().count("\n#")
    assert parse(written_out, ENVIRONMENT) == parse(example(), ENVIRONMENT)


def test_every_setting_is_explained() -> None:
    for table in (ServerGroup, User, Rule, Admin, Log):
        for name, info in fields_of(table).items():
            assert info.description, f"{table.__name__}.{name}"
            assert f"{name} = " in example() or name in ("users", "functions", "rules")
            assert f"`{name}`" in reference()


def test_every_section_begins_with_a_setting_there_is() -> None:
    assert SECTIONS.keys() <= fields_of(ServerGroup).keys()
