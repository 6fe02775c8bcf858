"""A real sshd on the loopback address, for one key made on the spot."""

import getpass
import os
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest
from nni_experiment import free_port, wait_for

SSHD = shutil.which("sshd", path=os.pathsep.join([os.environ["PATH"], "/usr/sbin"]))


@contextmanager
def ssh_server(folder):
    """Yields how NNI reaches it: host, port, user and key; skips the test without sshd."""
    if SSHD is None or shutil.which("ssh-keygen") is None:
        pytest.skip("needs sshd and ssh-keygen; on Debian: apt-get install openssh-server")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # which sshd wants, and its service would make
    key, host_key, port = folder / "key", folder / "host_key", free_port()
    for file in (key, host_key):  # NNI's ssh client reads RSA keys in PEM alone
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "rsa", "-m", "PEM", "-N", "", "-f", file], check=True
        )
    settings = {
        "Port": port,
        "ListenAddress": "127.0.0.1",
        "HostKey": host_key,
        "AuthorizedKeysFile": f"{key}.pub",
        "PasswordAuthentication": "no",
        "PermitRootLogin": "prohibit-password",
        "StrictModes": "no",  # the key lies in a temporary folder
        "UsePAM": "no",
        "PidFile": "none",
        "Subsystem": "sftp internal-sftp",
    }
    config = folder / "sshd_config"
    config.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    log = folder / "sshd.log"
    server = subprocess.Popen([SSHD, "-D", "-f", config, "-E", log])
    try:
        wait_for(lambda: "Server listening" in (log.read_text() if log.exists() else ""), "sshd")
        yield {"host": "127.0.0.1", "port": port, "user": getpass.getuser(), "sshKeyFile": str(key)}
    finally:
        server.terminate()
        server.wait(10)
