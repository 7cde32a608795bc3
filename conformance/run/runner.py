"""Cases and a runtime to results, one for each case, in the order of the cases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from pybpftime.conformance.case import Case
from pybpftime.conformance.judge import Result, Status, exclusion, judge
from pybpftime.conformance.run.pool import Pool, Reply
from pybpftime.conformance.runtime import Outcome, OutcomeKind, Profile, Runtime
from pybpftime.errors import InternalError


@dataclass(frozen=True, slots=True)
class Options:
    """How to run: so many processes, and failures asked again so many times."""

    jobs: int = 1
    retries: int = 0


def read_profile(opener: Callable[[], Runtime]) -> Profile:
    """What the runtime claims.  BpfError when it cannot be opened."""
    runtime = opener()
    try:
        return runtime.profile
    finally:
        runtime.close()


def run_cases(
    cases: Sequence[Case],
    profile: Profile,
    opener: Callable[[], Runtime],
    options: Options,
    stopped: Callable[[], bool] = lambda: False,
) -> Generator[Result, None, None]:
    """The results in the order of the cases.  When `stopped` turns true, those that are there, and then no more.

    `profile` is `read_profile` of the opener, and says how long a case may take.  Nothing that a case or a runtime
    does is raised.  A failure is asked again up to `options.retries` times; the result says how often it was asked.
    """
    done = {index: result for index, case in enumerate(cases) if (result := exclusion(case, profile)) is not None}
    asked = Counter[int]()
    pool = Pool(opener, cases, jobs=options.jobs, timeout=profile.timeout, stopped=stopped)
    pool.ask(index for index in range(len(cases)) if index not in done)
    following = 0
    with closing(pool.replies()) as replies:
        for reply in replies:
            asked[reply.index] += 1
            result = _judged(cases[reply.index], profile, reply)
            if result.status is Status.FAILED and asked[reply.index] <= options.retries:
                pool.ask([reply.index])
                continue
            done[reply.index] = replace(result, attempts=asked[reply.index])
            while following in done:
                yield done.pop(following)
                following += 1
    for index in sorted(done):  # more than the excluded ones at the end only when stopped
        yield done[index]


def _judged(case: Case, profile: Profile, reply: Reply[Outcome]) -> Result:
    outcome = reply.value
    if not isinstance(outcome, Outcome):
        kind = OutcomeKind.TIMED_OUT if reply.timed_out else OutcomeKind.CRASHED
        outcome = Outcome(kind, message=reply.failure or f"InternalError: the adapter answered {outcome!r:.200}")
    try:
        return replace(judge(case, profile, outcome), seconds=reply.seconds)
    except (TypeError, ValueError, AttributeError) as error:  # an Outcome whose fields are not what they should be
        internal = InternalError(f"the adapter's answer cannot be judged: {error}")
        why = f"{type(internal).__name__}: {internal}"
        return Result(case, Status.FAILED, why, Outcome(OutcomeKind.GARBAGE, message=why), reply.seconds)
