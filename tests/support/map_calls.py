"""What map operations answer."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pybpftime.maps import MapError


def errno_of(call: Callable[..., object], *arguments: object) -> int:
    """The errno with which a map refuses an operation; the test fails when it does not."""
    with pytest.raises(MapError) as caught:
        call(*arguments)
    return caught.value.errno
