"""Linux's error numbers, as helpers return them: `return -EINVAL`.

The numbers are those of Linux on every host, because programs see them.
"""

from __future__ import annotations

EPERM = 1
ENOENT = 2
E2BIG = 7
EACCES = 13
ENOMEM = 12
EFAULT = 14
EBUSY = 16
EINVAL = 22
ENOSPC = 28
ERANGE = 34
EBADMSG = 74
EOPNOTSUPP = 95
EALREADY = 114
ENOTSUPP = 524

__all__ = [
    "E2BIG",
    "EACCES",
    "EALREADY",
    "EBADMSG",
    "EBUSY",
    "EFAULT",
    "EINVAL",
    "ENOENT",
    "ENOMEM",
    "ENOSPC",
    "ENOTSUPP",
    "EOPNOTSUPP",
    "EPERM",
    "ERANGE",
]
