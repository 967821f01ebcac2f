"""Reads a Dockerfile and its .dockerignore, as far as ours go: what a build would copy, run and set."""

import re
import shlex
import shutil
from dataclasses import dataclass, field


@dataclass
class Stage:
    """One FROM and what follows. steps : (instruction, text) in order, with continued lines joined."""

    base: str
    name: str
    steps: list = field(default_factory=list)

    def texts(self, instruction):
        return [text for name, text in self.steps if name == instruction]

    def copies(self):
        """(sources, target) of every COPY from the context; those from another stage are left out."""
        for text in self.texts("COPY"):
            words = text.split()
            if not words[0].startswith("--from="):
                yield words[:-1], words[-1]

    def environment(self):
        return dict(pair.split("=", 1) for text in self.texts("ENV") for pair in shlex.split(text))


def read_dockerfile(path):
    """Stages in order, with the values of ARG before the first FROM filled in."""
    text = re.sub(r"^\s*#.*\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    arguments, stages = {}, []
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        instruction, _, rest = line.strip().partition(" ")
        if not instruction:
            continue
        if instruction == "ARG" and not stages:
            name, _, value = rest.partition("=")
            arguments[name] = value
        elif instruction == "FROM":
            base, _, name = re.sub(r"\$\{(\w+)\}", lambda found: arguments[found[1]], rest).partition(" AS ")
            stages.append(Stage(base, name))
        else:
            stages[-1].steps.append((instruction, rest.strip()))
    return stages


class Ignored:
    """Patterns of a .dockerignore; the last one that matches a path or a folder above it decides."""

    def __init__(self, text):
        lines = [line.strip() for line in text.splitlines()]
        self._rules = [
            (line.startswith("!"), _pattern(line.removeprefix("!").strip("/")))
            for line in lines
            if line and not line.startswith("#")
        ]

    def __call__(self, path):
        """path : with slashes, relative to the context."""
        parts, ignored = path.split("/"), False
        above = ["/".join(parts[: end + 1]) for end in range(len(parts))]
        for kept, pattern in self._rules:
            if any(pattern.fullmatch(each) for each in above):
                ignored = not kept
        return ignored


def _pattern(text):
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", text)
    meaning = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(meaning.get(part, re.escape(part)) for part in parts))


def copy_context(stage, context, ignored, target):
    """What the COPY lines of a stage put below its working folder; `target` stands for that folder."""
    for sources, place in stage.copies():
        for source in sources:
            path = context / source
            names = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
            kept = [each for each in names if not ignored(each.relative_to(context).as_posix())]
            if not kept:
                raise FileNotFoundError(f"COPY {source}: not in the context, or left out by .dockerignore")
            for each in kept:
                inside = each.relative_to(path) if path.is_dir() else each.name
                file = target / place / inside
                file.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(each, file)
