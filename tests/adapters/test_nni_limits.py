import resource
import signal
import subprocess
import sys
import threading

import pytest

from meta_nni.adapters.nni_limits import limited_memory, limited_time


def python(program):
    prelude = "from meta_nni.adapters import nni_limits\nnni_limits._GRACE = 1.0\n"
    return subprocess.run(
        [sys.executable, "-c", prelude + program], capture_output=True, text=True, timeout=60
    )


def test_time_ends_the_process_after_the_last_word():
    done = python(
        "import time\n"
        "with nni_limits.limited_time(0.1, lambda: print('late', flush=True) or True):\n"
        "    time.sleep(60)"
    )
    assert (done.returncode, done.stdout) == (1, "late\n")


def test_the_kernel_ends_a_process_that_keeps_pythons_lock():
    done = python(
        "import re\n"
        "with nni_limits.limited_time(0.1, lambda: print('late')):\n"
        "    re.match('(a+)+$', 'a' * 64 + 'b')"
    )
    assert (done.returncode, done.stdout) == (-signal.SIGALRM, "")


def test_a_result_that_came_in_time_is_not_cut_off():
    done = python(
        "import time\n"
        "with nni_limits.limited_time(0.05, lambda: False): time.sleep(0.15)\n"
        "print('reported')"
    )
    assert (done.returncode, done.stdout) == (0, "reported\n")


def test_what_ends_in_time_goes_on():
    threads = threading.active_count()
    with limited_time(60, lambda: True):
        pass
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.join(10)
    assert threading.active_count() == threads


def test_memory_beyond_the_limit_is_an_error_of_that_allocation_alone():
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with limited_memory(64 + 1024), pytest.raises(MemoryError):
        bytearray(4 * 2**30)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


def test_none_is_no_limit():
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with limited_memory(None), limited_time(None, lambda: True):
        assert resource.getrlimit(resource.RLIMIT_DATA) == before
        assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


@pytest.mark.parametrize("wrong", [0, -1, float("nan")])
def test_limits_are_above_zero(wrong):
    with pytest.raises(ValueError, match=f"max_seconds is {wrong}"), limited_time(wrong, print):
        pass
    with pytest.raises(ValueError, match=f"max_memory_mb is {wrong}"), limited_memory(wrong):
        pass
