"""What this host's clang makes of our programs loads and runs like the committed objects."""

import shutil
from pathlib import Path

import pytest

from pybpftime.conformance.objects import PACKET_TYPES, our_contents
from pybpftime.errors import BpfError
from pybpftime.program.spec import ObjectSpec
from pybpftime.runtime import Object
from pybpftime.runtime.load import read_object
from tools.build_fixtures import build, objects
from tools.campaign_packets import EXCLUDED, OBJECTS, captured


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("clang-19") is None:
        pytest.skip("needs clang-19")
    folder = tmp_path_factory.mktemp("rebuilt")
    build("clang-19", list(objects()), folder)
    return folder


def outcomes(spec: ObjectSpec, frames: list[bytes]) -> list[object]:
    """Everything that the object's packet programs do to the frames, and what the maps hold in the end."""
    loaded = Object(spec)
    seen: list[object] = []
    for program in loaded:
        for frame in frames if program.type in PACKET_TYPES else ():
            try:
                result = program.run(frame)
                seen.append((program.name, result.r0, result.packet, result.printk, result.redirect))
            except BpfError as error:
                seen.append((program.name, type(error), error.reason))
    return [*seen, {name: our_contents(view.raw) for name, view in loaded.maps.items()}]


@pytest.mark.parametrize("name", sorted(path.name for path in OBJECTS.glob("*.bpf.o")))
def test_a_rebuilt_object_does_what_the_committed_one_does(name: str, rebuilt: Path) -> None:
    committed, fresh = read_object(OBJECTS / name), read_object(rebuilt / name)
    assert list(fresh.programs) == list(committed.programs)
    assert list(fresh.maps) == list(committed.maps)
    if name.partition(".")[0] in EXCLUDED:
        return
    frames = captured()[:40]
    assert outcomes(fresh, frames) == outcomes(committed, frames)
