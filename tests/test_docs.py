"""Documents say what the code does: the generated page is fresh, tables, commands, settings and links too."""

import importlib.util
import re
from pathlib import Path

import pytest
import typer

import domain.data.tables
from adapters.settings import Settings
from cli.app import app
from domain.config.fleet import Fleet
from domain.data.tables import TableSpec, landed, levels, observations
from models.promotion.gates import GATES

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "infra").rglob("*.md")),
]
FIXED = [spec for spec in vars(domain.data.tables).values() if isinstance(spec, TableSpec)]
LINK = re.compile(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"")
PREFIXES = ("x_", "c_", "k_", "n_")
TYPES = "string|int32|int64|double|bool|binary|timestamp"
INVOCATION = re.compile(r"(?<![\w.-])(?<!-n )myriad ([a-z][^\n`#|&>;]*)")


def generator():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def specs(fleet):
    """Every table that a fleet can have, with a column of each optional kind."""
    made = fleet.regression()
    return {spec.name: spec for spec in [*FIXED, landed(made), observations(made), levels(made)]}


def sections(page):
    """Text of each second-level section by its title, code left out."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def documented(section):
    """Type by column of a section's tables of columns."""
    return dict(re.findall(rf"^\| `(\w+)` \| ({TYPES}) \|", section, flags=re.MULTILINE))


def columns(spec):
    """Type by column as the page writes them: features and keys by their prefix, types without their unit."""
    names = {name: f"{name[:2]}NAME" if name.startswith(PREFIXES) else name for name in spec.schema.names}
    return {names[field.name]: str(field.type).split("[")[0] for field in spec.schema}


def anchors(page):
    """Names that a link into a page may have, as GitHub makes them."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def options(group, *words):
    """Options of every command by its words, such as (registry, sync)."""
    found = {}
    for name, command in group.commands.items():
        if command.hidden:
            continue
        if hasattr(command, "commands"):
            found |= options(command, *words, name)
        else:
            found[(*words, name)] = {"--help"} | {option for each in command.params for option in each.opts}
    return found


def code_of(text):
    """Fenced blocks and code spans, without the words around them."""
    spans = re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return [*re.findall(r"```.*?```", text, flags=re.DOTALL), *(span.replace("\n", " ") for span in spans)]


def invocations(text):
    """Words and options of every `myriad` command in a text."""
    for found in INVOCATION.findall(text):
        words = tuple(found.split())
        yield (
            words[: 2 if words[0] in ("keys", "registry", "stack", "webhooks") else 1],
            re.findall(r"(?<!\S)--[a-z-]+", found),
        )


def test_the_reference_of_the_fleet_file_is_fresh():
    module = generator()
    told = "run .venv/bin/python -m docs.generate"
    assert module.TARGET.read_text(encoding="utf-8") == module.fleet_reference(), told


def test_every_key_of_the_fleet_file_is_described():
    schema = Fleet.model_json_schema()
    told = generator().fleet_reference()
    keys = {key for section in (schema, *schema["$defs"].values()) for key in section["properties"]}
    assert keys == set(re.findall(r"^\| `(\w+)` \|", told, flags=re.MULTILINE)) & keys
    assert not re.search(r"\|\s*\|$", told, flags=re.MULTILINE)


def test_every_column_of_every_table_is_documented_with_its_type(fleet):
    page = sections(ROOT / "docs" / "tables.md")
    for name, spec in specs(fleet).items():
        expected, found = columns(spec), documented(page[name])
        if name == "champions":
            found = documented(page["challengers"]) | found
        if name == "observations":
            expected.pop("k_NAME", None)
        assert found == expected, name


def test_the_partitioning_of_every_table_is_documented(fleet):
    page = sections(ROOT / "docs" / "tables.md")
    for name, spec in specs(fleet).items():
        by = ", ".join(f"`{column}`" for column in spec.partition_by)
        assert re.search(rf"Partitioned\s+by\s+{by}\.", page[name]), name


def test_gates_are_documented_as_they_are_listed_in_the_code():
    section = sections(ROOT / "docs" / "architecture.md")["Gates and releases"]
    rows = re.findall(r"^\| `(\w+)` \| (.+) \| (yes|no) \|$", section, flags=re.MULTILINE)
    assert rows == [(gate.name, gate.summary, "yes" if gate.decisive else "no") for gate in GATES]
    table = sections(ROOT / "docs" / "tables.md")["verdicts"]
    column = re.search(r"^\| `gate` \| string \| (.+) \|$", table, re.MULTILINE)
    assert {gate.name for gate in GATES} | {"max_failed_share"} == set(re.findall(r"`(\w+)`", column[1]))


def test_reasons_of_the_quarantine_are_those_of_the_code():
    sources = ("domain/data/validation.py", "domain/data/partitioning.py", "tasks/workers/ingest.py", "tasks/ingest.py")
    code = "".join((ROOT / name).read_text(encoding="utf-8") for name in sources)
    section = sections(ROOT / "docs" / "tables.md")["quarantine"]
    documented_ones = re.findall(r"^\| `(\w+)` \| (?:ingest|partition) \|", section, flags=re.MULTILINE)
    calls = (
        r"(?:reject|refuse_file)\([^\"\n]*\"(\w+)\"",
        r"_rejects\(rows, \w+, \"(\w+)\"",
        r"rejected_table\(\s*\[\"(\w+)\"\]",
    )
    assert set(documented_ones) == {reason for call in calls for reason in re.findall(call, code)}


def test_every_command_is_documented():
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    rows = "\n".join(re.findall(r"^\| `(myriad [^`]+)", text, flags=re.MULTILINE))
    assert set(options(typer.main.get_command(app))) == {words for words, _ in invocations(rows)}


def test_every_setting_is_documented():
    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    settings = {f"MYRIAD_{name.upper()}" for name in Settings.model_fields}
    assert settings == set(re.findall(r"^\| `(MYRIAD_\w+)`", text, flags=re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_and_images_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for found in LINK.findall(text):
        target, _, anchor = (found[0] or found[1]).partition("#")
        if target.startswith(("http://", "https://")):
            continue
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), f"{target} is not there"
        assert not anchor or anchor in anchors(path), f"{target}#{anchor} is not a heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_that_are_quoted_exist_and_have_the_options(page):
    known = options(typer.main.get_command(app))
    for code in code_of(page.read_text(encoding="utf-8")):
        for words, given in invocations(code):
            assert words in known, f"myriad {' '.join(words)} is no command"
            assert set(given) <= known[words], f"myriad {' '.join(words)} has no {set(given) - known[words]}"


def test_images_are_small():
    sizes = {image.name: image.stat().st_size for image in (ROOT / "docs" / "images").iterdir()}
    assert sizes
    assert max(sizes.values()) < 300_000, sizes
