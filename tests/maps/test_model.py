"""Any sequence of operations, on both sides, against a dictionary."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pybpftime.machine.memory import Memory
from pybpftime.machine.strictness import LINUX
from pybpftime.maps import Errno, MapError, MapSpec, create_map
from pybpftime.uapi import MapFlag, MapType

KEY_SIZE, VALUE_SIZE = 4, 12
KEYS = st.integers(0, 7).map(lambda number: number.to_bytes(KEY_SIZE, "little"))
VALUES = st.integers(0, 255).map(lambda byte: bytes([byte]) * VALUE_SIZE)
FLAGS = st.sampled_from([0, 0, 0, 1, 2, 3, 4, 1 << 40])


def outcome(call: Any, *arguments: Any) -> Any:
    """The result, or the errno."""
    try:
        return call(*arguments)
    except MapError as error:
        return error.errno


class ModelMachine(RuleBasedStateMachine):
    """The model is a dictionary from keys to lists of values, one for each cpu."""

    type = MapType.BPF_MAP_TYPE_HASH
    flags = 0
    cpu_count = 1
    max_entries = 5

    def __init__(self) -> None:
        super().__init__()
        spec = MapSpec("model", self.type, KEY_SIZE, VALUE_SIZE, self.max_entries, self.flags)
        self.memory = Memory()
        self.map = create_map(spec, self.cpu_count)
        self.map.attach(self.memory, LINUX)
        self.model: dict[bytes, list[bytes]] = self.initial()
        self.frozen = False

    def initial(self) -> dict[bytes, list[bytes]]:
        return {}

    def value_of(self, key: bytes) -> Any:
        return tuple(self.model[key]) if self.map.kind.per_cpu else self.model[key][0]

    def store(self, key: bytes, values: dict[int, bytes], flags: int) -> Errno | None:
        """The effect of an update on the model."""
        if flags > 2:
            return Errno.EINVAL
        if key in self.model and flags == 1:
            return Errno.EEXIST
        if key not in self.model:
            if flags == 2:
                return Errno.ENOENT
            if len(self.model) >= self.max_entries:
                self.make_room()
            if len(self.model) >= self.max_entries:
                return Errno.E2BIG
            self.model[key] = [bytes(VALUE_SIZE)] * self.cpu_count
        self.model[key] = [values.get(cpu, old) for cpu, old in enumerate(self.model[key])]
        return None

    def make_room(self) -> None:
        pass

    def remove(self, key: bytes) -> Errno | None:
        return None if self.model.pop(key, None) else Errno.ENOENT

    @rule(key=KEYS, value=VALUES, flags=FLAGS, cpu=st.integers(0, 2))
    def program_updates(self, key: bytes, value: bytes, flags: int, cpu: int) -> None:
        cpu %= self.cpu_count
        result = outcome(self.map.update_element, key, value, flags, cpu)
        assert result == self.store(key, {cpu: value}, flags)

    @rule(key=KEYS, value=VALUES, other=VALUES, flags=FLAGS)
    def user_updates(self, key: bytes, value: bytes, other: bytes, flags: int) -> None:
        values = [value, other, value][: self.cpu_count]
        result = outcome(self.map.update, key, values if self.map.kind.per_cpu else value, flags)
        if self.frozen:
            assert result == Errno.EPERM
        else:
            assert result == self.store(key, dict(enumerate(values)), flags)

    @rule(key=KEYS, cpu=st.integers(0, 3), change=VALUES, write=st.booleans())
    def program_looks_up(self, key: bytes, cpu: int, change: bytes, write: bool) -> None:
        address = self.map.element_address(key, cpu)
        cpu = cpu if self.map.kind.per_cpu else 0
        assert (address != 0) == (key in self.model and cpu < self.cpu_count)
        if address:
            self.used(key)
            assert self.memory.read(address, VALUE_SIZE) == self.model[key][cpu]
            if write:
                self.memory.write(address, change)
                self.model[key][cpu] = change

    def used(self, key: bytes) -> None:
        pass

    @rule(key=KEYS)
    def user_looks_up(self, key: bytes) -> None:
        expected = self.value_of(key) if key in self.model else Errno.ENOENT
        assert outcome(self.map.lookup, key) == expected

    @rule(key=KEYS)
    def program_deletes(self, key: bytes) -> None:
        assert outcome(self.map.delete_element, key) == self.remove(key)

    @rule(key=KEYS)
    def user_deletes(self, key: bytes) -> None:
        assert outcome(self.map.delete, key) == (Errno.EPERM if self.frozen else self.remove(key))

    @rule(key=KEYS)
    def user_takes(self, key: bytes) -> None:
        expected: Any = Errno.EPERM if self.frozen else self.take(key)
        assert outcome(self.map.lookup_and_delete, key) == expected

    def take(self, key: bytes) -> Any:
        value = self.value_of(key) if key in self.model else Errno.ENOENT
        self.remove(key)
        return value

    @rule()
    @precondition(lambda self: len(self.model) > 3)
    def user_freezes(self) -> None:
        assert outcome(self.map.freeze) == (Errno.EPERM if self.frozen else None)
        self.frozen = True

    @rule(victims=st.sets(KEYS))
    def a_callback_deletes(self, victims: set[bytes]) -> None:
        before = set(self.model)
        seen = []
        for key, address in self.map.for_each():
            seen.append(key)
            assert address
            if key in victims:
                assert outcome(self.map.delete_element, key) == self.remove(key)
        assert sorted(seen) == sorted(before)

    @invariant()
    def contents_are_equal(self) -> None:
        assert sorted(self.map.items()) == sorted((key, self.value_of(key)) for key in self.model)
        assert self.map.count == len(self.model)

    @invariant()
    def next_key_visits_every_key_once(self) -> None:
        order = []
        following = outcome(self.map.next_key)
        while following != Errno.ENOENT:
            order.append(following)
            following = outcome(self.map.next_key, following)
        assert order == self.map.keys()


class PerCpuMachine(ModelMachine):
    type = MapType.BPF_MAP_TYPE_PERCPU_HASH
    cpu_count = 3


class OnDemandMachine(ModelMachine):
    flags = MapFlag.BPF_F_NO_PREALLOC


class LruMachine(ModelMachine):
    """The dictionary's order is that of use, the oldest first."""

    type = MapType.BPF_MAP_TYPE_LRU_HASH

    def used(self, key: bytes) -> None:
        self.model[key] = self.model.pop(key)

    def make_room(self) -> None:
        del self.model[next(iter(self.model))]

    def store(self, key: bytes, values: dict[int, bytes], flags: int) -> Errno | None:
        result = super().store(key, values, flags)
        if result is None:
            self.used(key)
        return result


class ArrayMachine(ModelMachine):
    type = MapType.BPF_MAP_TYPE_ARRAY

    def initial(self) -> dict[bytes, list[bytes]]:
        return {key.to_bytes(4, "little"): [bytes(VALUE_SIZE)] * self.cpu_count for key in range(self.max_entries)}

    def store(self, key: bytes, values: dict[int, bytes], flags: int) -> Errno | None:
        if flags > 2 and flags != 4:
            return Errno.EINVAL
        if key not in self.model:
            return Errno.E2BIG if flags != 4 or not self.user_checks_first else Errno.EINVAL
        return Errno.EINVAL if flags == 4 else super().store(key, values, flags)

    user_checks_first = False

    @rule(key=KEYS, value=VALUES, other=VALUES, flags=FLAGS)
    def user_updates(self, key: bytes, value: bytes, other: bytes, flags: int) -> None:
        self.user_checks_first = True
        super().user_updates(key, value, other, flags)
        self.user_checks_first = False

    def remove(self, key: bytes) -> Errno | None:
        return Errno.EINVAL

    def take(self, key: bytes) -> Any:
        return Errno.ENOTSUPP


class PerCpuArrayMachine(ArrayMachine):
    type = MapType.BPF_MAP_TYPE_PERCPU_ARRAY
    cpu_count = 3


def case(machine: type[ModelMachine]) -> type:
    """The machine as a test case for pytest."""
    machine.TestCase.settings = settings(max_examples=settings().max_examples // 2, stateful_step_count=40)
    return machine.TestCase


TestHash = case(ModelMachine)
TestOnDemand = case(OnDemandMachine)
TestPerCpuHash = case(PerCpuMachine)
TestLru = case(LruMachine)
TestArray = case(ArrayMachine)
TestPerCpuArray = case(PerCpuArrayMachine)
