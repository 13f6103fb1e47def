from __future__ import annotations

import os
import signal

import pytest

from streams.stop_signal import STOP_SIGNALS, stop_signal


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_the_first_signal_sets_the_event_and_the_handlers_of_before_come_back(number):
    before = signal.getsignal(number)

    with stop_signal() as stopped:
        assert not stopped.is_set()
        os.kill(os.getpid(), number)
        assert stopped.wait(5)

    assert signal.getsignal(number) is before


def test_a_second_ctrl_c_does_what_it_always_does():
    always = signal.getsignal(signal.SIGINT)  # a background job of a shell ignores it
    with stop_signal() as stopped:
        os.kill(os.getpid(), signal.SIGINT)
        assert stopped.wait(5)

        assert signal.getsignal(signal.SIGINT) is always
