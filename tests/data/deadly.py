"""A decoder that dies of one picture, for processes that are spawned."""

from __future__ import annotations

import os
import signal

from pixtell.data.sample import Sample, Seen, see

DEADLY = b"\x89PNG deadly"


def see_or_die(sample: Sample) -> Seen:
    if sample.candidates[0].media.read() == DEADLY:
        os.kill(os.getpid(), signal.SIGKILL)
    return see(sample)
