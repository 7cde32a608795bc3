"""What documents name exists: files, folders, headings and make targets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# A name with one of these in front is a path of this repository, whether or not the folder is there today.
TOP_FOLDERS = ("pybpftime", "verifier", "conformance", "tests", "docs", "tools", ".ci")
# A name without a folder is a path when it ends like this or is one of these.
ROOT_SUFFIXES = (".md", ".toml", ".lock", ".yaml")
ROOT_NAMES = ("Makefile", "LICENSE")

_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")
_CODE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"!?\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)")
_HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*\s*$")
_PATH = re.compile(r"[\w.*\[\]/+-]+")
_MAKE = re.compile(r"(?:^|[;&|$]\s*|^\s*)make((?: +[A-Za-z_]+=\S*| +-\S+)*)((?: +[a-z][\w-]*)+)")


@dataclass
class Document:
    """A Markdown text, taken apart into prose, inline code, fenced lines and headings, each with its line number."""

    inline: list[tuple[int, str]] = field(default_factory=list)
    fenced: list[tuple[int, str]] = field(default_factory=list)
    links: list[tuple[int, str]] = field(default_factory=list)
    headings: list[str] = field(default_factory=list)


def parse(text: str) -> Document:
    document = Document()
    fence = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if fence:
            if line.strip().startswith(fence) and not line.strip().strip(fence[0]):
                fence = ""
            else:
                document.fenced.append((number, line))
        elif match := _FENCE.match(line):
            fence = match[1]
        else:
            if heading := _HEADING.match(line):
                document.headings.append(heading[1])
            document.inline += [(number, code) for code in _CODE.findall(line)]
            document.links += [(number, target) for target in _LINK.findall(_CODE.sub("", line))]
    return document


def paths_in(code: str) -> Iterator[str]:
    """The words of a piece of code that are paths of this repository."""
    for word in _PATH.findall(code):
        name = re.sub(r":\d+$", "", word).rstrip(".,")
        top, slash, _ = name.removeprefix("./").partition("/")
        alone = name == code and (name in ROOT_NAMES or name.endswith(ROOT_SUFFIXES)) and "*" not in name
        if (slash and top in TOP_FOLDERS) or alone:
            yield name


def targets_in(code: str) -> Iterator[str]:
    for match in _MAKE.finditer(code):
        yield from match[2].split()


def anchor(heading: str) -> str:
    """The fragment under which a heading is reached, as the usual renderers make it."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")


def makefile_targets() -> set[str]:
    return set(re.findall(r"^([a-z][\w%-]*):(?!=)", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))


def _exists(name: str, beside: Path) -> bool:
    """Whether a path or pattern leads to something, from the root or from the document's folder."""
    for folder in (ROOT, beside):
        if "*" in name or "[" in name:
            if any(folder.glob(name.rstrip("/"))):
                return True
        elif (folder / name).exists():
            return True
    return False


def _documents() -> list[Path]:
    skipped = {".git", ".venv", "build", "dist", "node_modules", ".pytest_cache", ".hypothesis"}
    found = list(ROOT.glob("*.md"))
    for folder in ROOT.iterdir():
        if folder.is_dir() and folder.name not in skipped:
            found += folder.rglob("*.md")
    return sorted(path for path in found if not skipped & set(path.relative_to(ROOT).parts))


DOCUMENTS = {path.relative_to(ROOT).as_posix(): path for path in _documents()}


@pytest.fixture(params=DOCUMENTS)
def path(request: pytest.FixtureRequest) -> Path:
    return DOCUMENTS[request.param]


def test_paths_in_code_exist(path: Path) -> None:
    document = parse(path.read_text("utf-8"))
    named = [(line, name) for line, code in document.inline + document.fenced for name in paths_in(code)]
    missing = [f"{path.name}:{line}: {name}" for line, name in named if not _exists(name, path.parent)]
    assert not missing, "\n".join(missing)


def test_links_lead_somewhere(path: Path) -> None:
    broken = []
    for line, link in parse(path.read_text("utf-8")).links:
        if re.match(r"[a-z][a-z0-9+.-]*:", link):  # a URL: needs a network to judge
            continue
        name, _, fragment = link.partition("#")
        target = path.parent / name if name else path
        if not target.exists():
            broken.append(f"{path.name}:{line}: {link}")
        elif fragment and target.suffix == ".md":
            anchors = {anchor(heading) for heading in parse(target.read_text("utf-8")).headings}
            broken += [] if fragment in anchors else [f"{path.name}:{line}: {link} names no heading"]
    assert not broken, "\n".join(broken)


def test_make_targets_exist(path: Path) -> None:
    document = parse(path.read_text("utf-8"))
    targets = makefile_targets()
    patterns = [re.compile(re.escape(target).replace("%", r"[\w-]+")) for target in targets]
    named = [(line, name) for line, code in document.inline + document.fenced for name in targets_in(code)]
    missing = [
        f"{path.name}:{line}: make {name}" for line, name in named if not any(p.fullmatch(name) for p in patterns)
    ]
    assert not missing, "\n".join(missing)


# --- the reader of documents itself -----------------------------------------------------------------------------------


def test_documents_are_found() -> None:
    assert {"CONTRIBUTING.md", "CHANGELOG.md"} <= set(DOCUMENTS)


def test_document_is_taken_apart() -> None:
    document = parse("# A `b`\nsee `x/y`, [c](d.md#e)\n```sh\nmake test\n```\n~~~\n# no heading\n~~~\n[`f`](g)")
    assert document.headings == ["A `b`"]
    assert document.inline == [(1, "b"), (2, "x/y"), (9, "f")]
    assert document.fenced == [(4, "make test"), (7, "# no heading")]
    assert {target for _, target in document.links} == {"d.md#e", "g"}


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("tests/programs/*.bpf.c", ["tests/programs/*.bpf.c"]),
        ("pybpftime run tests/a.o --pcap tests/b.pcap", ["tests/a.o", "tests/b.pcap"]),
        ("pybpftime/isa/table.py:12", ["pybpftime/isa/table.py"]),
        ("Makefile", ["Makefile"]),
        ("README.md", ["README.md"]),
        ("cp README.md elsewhere", []),
        ("../shared/data", []),
        ("/sys/kernel/btf/vmlinux", []),
        ("u32/u64", []),
        (".venv/bin/python", []),
    ],
)
def test_paths_are_recognised(code: str, names: list[str]) -> None:
    assert list(paths_in(code)) == names


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("make test", ["test"]),
        ("make lint types", ["lint", "types"]),
        ("$ make PYTHON=python3.12 demo", ["demo"]),
        ("cd x && make demo", ["demo"]),
        ("make", []),
        ("to make sure of it", []),
    ],
)
def test_make_targets_are_recognised(code: str, names: list[str]) -> None:
    assert list(targets_in(code)) == names


@pytest.mark.parametrize(
    ("heading", "fragment"),
    [("Where things are", "where-things-are"), ("`run`, and more!", "run-and-more"), ("[a](b) c_d", "a-c_d")],
)
def test_anchors_are_made_as_renderers_do(heading: str, fragment: str) -> None:
    assert anchor(heading) == fragment
