"""What an installation brings: the distributions are built, installed into an empty environment and looked at."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

# The builds are made once and shared by these tests, so they belong on one worker of pytest-xdist.
pytestmark = pytest.mark.xdist_group("packaging")

NOT_SOURCE = (".git", ".venv", "build", "dist", "*.egg-info", "__pycache__", ".*_cache", ".hypothesis", "tests")
LINKED = ("verifier", "conformance")


def _run(*command: str | Path, cwd: Path | None = None) -> str:
    # PYTHONPATH and the like of the developer's shell are none of the build's business.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    run = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


@pytest.fixture(scope="module")
def source_tree(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout: builds leave files beside the source."""
    for tool, oldest in (("build", 1), ("setuptools", 77), ("wheel", 0), ("pip", 22)):
        try:
            major = int(version(tool).partition(".")[0])
        except PackageNotFoundError:
            pytest.skip(f"needs {tool}: run `make test`")
        if major < oldest:
            pytest.skip(f"needs {tool} {oldest} or newer, here is {version(tool)}: run `make test`")
    copy = tmp_path_factory.mktemp("packaging") / "checkout"
    shutil.copytree(repository, copy, symlinks=True, ignore=shutil.ignore_patterns(*NOT_SOURCE))
    (copy / "README.md").touch()
    return copy


@pytest.fixture(scope="module")
def sdist(source_tree: Path) -> Path:
    _run(sys.executable, "-m", "build", "--no-isolation", "--sdist", ".", cwd=source_tree)
    [archive] = (source_tree / "dist").glob("*.tar.gz")
    return archive


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as installers make it: from the source distribution, in another place."""
    place = tmp_path_factory.mktemp("sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(place, filter="data")
    [unpacked] = place.iterdir()
    return _build_wheel(unpacked)


def _build_wheel(tree: Path) -> Path:
    _run(sys.executable, "-m", "build", "--no-isolation", "--wheel", ".", cwd=tree)
    [archive] = (tree / "dist").glob("*.whl")
    return archive


@dataclass(frozen=True)
class Environment:
    """A virtual environment that holds pybpftime and nothing else."""

    folder: Path

    @property
    def programs(self) -> Path:
        return self.folder / ("Scripts" if os.name == "nt" else "bin")

    def python(self, code: str) -> str:
        """What the environment's Python prints for `code`, run far from the checkout."""
        return _run(self.programs / "python", "-c", code, cwd=self.folder).strip()

    @property
    def site_packages(self) -> Path:
        return Path(self.python("import sysconfig; print(sysconfig.get_path('purelib'))"))


def _install(wheel: Path, folder: Path) -> Environment:
    venv.create(folder, with_pip=False)
    environment = Environment(folder)
    options = ("--isolated", "--disable-pip-version-check", "--no-index", "--no-deps", "--quiet")
    _run(sys.executable, "-m", "pip", "--python", environment.programs / "python", "install", *options, wheel)
    return environment


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return _install(wheel, tmp_path_factory.mktemp("installed") / "venv")


@pytest.fixture(scope="module")
def editable(source_tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    place = tmp_path_factory.mktemp("editable")
    code = f"from setuptools import build_meta; build_meta.build_editable({str(place)!r})"
    _run(sys.executable, "-c", code, cwd=source_tree)
    [archive] = place.glob("*.whl")
    return _install(archive, place / "venv")


def _modules(tree: Path) -> set[str]:
    """Every module of the checkout, as the path that it has in an installation."""
    paths = {
        f"pybpftime/{path.relative_to(tree).as_posix()}"
        for package in LINKED
        for path in (tree / package).rglob("*.py")
    }
    for path in (tree / "pybpftime").rglob("*.py"):
        name = path.relative_to(tree).as_posix()
        paths |= set() if name.startswith(tuple(f"pybpftime/{package}/" for package in LINKED)) else {name}
    return paths


def test_sdist_holds_every_module_and_no_tests(sdist: Path, source_tree: Path) -> None:
    with tarfile.open(sdist) as archive:
        assert not [member.name for member in archive if member.issym() or member.islnk()]
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert _modules(source_tree) <= names
    assert {"LICENSE", "README.md", "pyproject.toml", "pybpftime/py.typed"} <= names
    assert {name.partition("/")[0] for name in names if name.endswith(".py")} <= {"pybpftime", "setup.py"}


def test_wheel_holds_every_module_under_one_name(wheel: Path, source_tree: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    metadata = next(name for name in names if name.endswith(".dist-info/METADATA")).partition("/")[0]
    assert {name for name in names if name.endswith(".py")} == _modules(source_tree)
    assert {name.partition("/")[0] for name in names} == {"pybpftime", metadata}
    assert "pybpftime/py.typed" in names
    assert f"{metadata}/licenses/LICENSE" in names


def test_distributions_bring_every_file_of_the_conformance_suite(sdist: Path, wheel: Path, source_tree: Path) -> None:
    files = {
        f"pybpftime/{path.relative_to(source_tree).as_posix()}"
        for path in source_tree.glob("conformance/**/*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert any(name.startswith("pybpftime/conformance/cases/") for name in files)
    assert files <= set(zipfile.ZipFile(wheel).namelist())
    with tarfile.open(sdist) as archive:
        assert files <= {name.partition("/")[2] for name in archive.getnames()}


@pytest.mark.parametrize("kind", ["installed", "editable"])
def test_installation_finds_the_cases(kind: str, request: pytest.FixtureRequest) -> None:
    environment: Environment = request.getfixturevalue(kind)
    code = "from pybpftime.conformance.suite import OURS; print(len(list(OURS.glob('arithmetic/*.case'))))"
    assert int(environment.python(code)) > 10


def test_wheel_from_the_checkout_is_the_same(wheel: Path, source_tree: Path) -> None:
    assert set(zipfile.ZipFile(_build_wheel(source_tree)).namelist()) == set(zipfile.ZipFile(wheel).namelist())


def test_installation_brings_one_top_level_name(installed: Environment) -> None:
    names = {path.name for path in installed.site_packages.iterdir()}
    assert {name for name in names if not name.endswith(".dist-info")} == {"pybpftime"}


@pytest.mark.parametrize("kind", ["installed", "editable"])
def test_linked_packages_are_imported_under_one_name(kind: str, request: pytest.FixtureRequest) -> None:
    environment: Environment = request.getfixturevalue(kind)
    code = """if True:
        import importlib, json
        found = {}
        for name in ("pybpftime.verifier", "pybpftime.conformance", "verifier", "conformance"):
            try:
                found[name] = importlib.import_module(name).__name__
            except ImportError as error:
                found[name] = type(error).__name__
        print(json.dumps(found))
    """
    assert json.loads(environment.python(code)) == {
        "pybpftime.verifier": "pybpftime.verifier",
        "pybpftime.conformance": "pybpftime.conformance",
        "verifier": "ModuleNotFoundError",
        "conformance": "ModuleNotFoundError",
    }


@pytest.mark.parametrize("kind", ["installed", "editable"])
def test_installation_brings_the_programs(kind: str, request: pytest.FixtureRequest) -> None:
    environment: Environment = request.getfixturevalue(kind)
    names = {path.stem for path in environment.programs.iterdir()}
    assert {"pybpftime", "pybpftime-plugin"} <= names


def test_metadata_says_what_is_needed(installed: Environment) -> None:
    code = "from importlib.metadata import metadata; import json; print(json.dumps(metadata('pybpftime').json))"
    metadata = json.loads(installed.python(code))
    assert metadata["license_expression"] == "MIT"
    assert metadata["requires_python"] == ">=3.11"
    core = {requirement.partition(">")[0] for requirement in metadata["requires_dist"] if "extra ==" not in requirement}
    assert core == {"click", "pyelftools", "rich"}
    assert set(metadata["provides_extra"]) == {"verify", "trace", "llvm", "debug", "cluster", "all"}


@pytest.mark.parametrize("package", LINKED)
def test_linked_package_refuses_its_second_name(package: str, repository: Path) -> None:
    code = f"""if True:
        try:
            import {package}
        except ImportError as error:
            print(error)
    """
    said = _run(sys.executable, "-c", code, cwd=repository)
    assert said == f"this package is imported as pybpftime.{package}\n"


def test_checkout_without_symbolic_links_says_so(repository: Path, tmp_path: Path) -> None:
    package = tmp_path / "pybpftime"
    package.mkdir()
    for name in ("__init__.py", "lazy.py"):
        shutil.copy(repository / "pybpftime" / name, package)
    (package / "verifier").write_text("../verifier")  # what git writes without core.symlinks
    code = """if True:
        try:
            import pybpftime
        except ImportError as error:
            print(error)
    """
    assert "no symbolic links" in _run(sys.executable, "-c", code, cwd=tmp_path)
