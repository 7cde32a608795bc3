"""Linux's error numbers by their bare names, as helpers return them: `return -EINVAL`.  See `uapi.Errno`."""

from __future__ import annotations

from pybpftime.uapi import Errno

E2BIG = Errno.E2BIG
EACCES = Errno.EACCES
EALREADY = Errno.EALREADY
EBADMSG = Errno.EBADMSG
EBUSY = Errno.EBUSY
EFAULT = Errno.EFAULT
EINVAL = Errno.EINVAL
ENOENT = Errno.ENOENT
ENOMEM = Errno.ENOMEM
ENOSPC = Errno.ENOSPC
ENOTSUPP = Errno.ENOTSUPP
EOPNOTSUPP = Errno.EOPNOTSUPP
EPERM = Errno.EPERM
ERANGE = Errno.ERANGE
