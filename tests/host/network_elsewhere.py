"""Another machine, as far as the network is concerned: a network namespace with a cable to us."""

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager

import pytest

OURS, THEIRS = "198.18.77.1", "198.18.77.2"  # a range that is reserved for such tests
CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)"


@contextmanager
def elsewhere():
    """Yields a function that connects from there to a port of ours and returns what it said.

    Skips the test where namespaces cannot be made.
    """
    name = f"meta-nni-{os.getpid()}"
    near, far = f"mn{os.getpid() % 10**6}a", f"mn{os.getpid() % 10**6}b"
    if shutil.which("ip") is None or os.getuid() != 0:
        pytest.skip("needs root and the command ip to make a network namespace")
    made = ip("netns", "add", name, check=False)
    if made.returncode != 0:
        pytest.skip(f"cannot make a network namespace: {made.stderr}")
    try:
        ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", name)
        ip("addr", "add", f"{OURS}/30", "dev", near)
        ip("link", "set", near, "up")
        ip("-n", name, "addr", "add", f"{THEIRS}/30", "dev", far)
        ip("-n", name, "link", "set", far, "up")

        def connect(port):
            command = [sys.executable, "-c", CONNECT, OURS, str(port)]
            return ip("netns", "exec", name, *command, check=False).stderr

        yield connect
    finally:
        ip("netns", "del", name, check=False)  # and its cable with it
        ip("link", "del", near, check=False)


def ip(*arguments, check=True):
    return subprocess.run(["ip", *arguments], capture_output=True, text=True, check=check)
