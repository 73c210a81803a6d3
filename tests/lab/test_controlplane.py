"""A control plane by itself: its certificate, the socket that systemd holds for it, and plain HTTP."""

import json

import pytest

from lab.controlplane import ControlPlane
from lab.shell import run, wait_until

# Keeps one connection open while the certificate changes, and tells what it and a new one see.
ROTATE = """
import hashlib, json, socket, ssl, subprocess, sys, time
address, port, ca, *renew = sys.argv[1:]

def connect():
    context = ssl.create_default_context(cafile=ca)
    raw = socket.create_connection((address, int(port)), timeout=10)
    return context.wrap_socket(raw, server_hostname=address)

def ask(connection):
    connection.sendall(b"GET /health HTTP/1.1\\r\\nHost: test\\r\\n\\r\\n")
    answer = b""
    while b"alive" not in answer:
        piece = connection.recv(4096)
        if not piece:
            return "closed"
        answer += piece
    return answer.split(b"\\r\\n")[0].decode()

def fingerprint(connection):
    return hashlib.sha256(connection.getpeercert(True)).hexdigest()

old = connect()
seen = {"before": ask(old), "first": fingerprint(old)}
subprocess.run(renew, check=True, stdout=subprocess.DEVNULL)
deadline = time.monotonic() + 60
while time.monotonic() < deadline:
    try:
        new = connect()
        seen.update(after=ask(new), second=fingerprint(new))
        break
    except ssl.SSLError:
        time.sleep(0.5)
seen["kept"] = ask(old)
print(json.dumps(seen))
"""


@pytest.fixture
def control(lab):
    """A control plane beside the fleet's own."""
    control = ControlPlane(lab, name="second", port=8555).prepare()
    yield control
    control.stop()


def test_a_new_certificate_is_served_and_connections_stay(control):
    control.start()
    renew = control._command("tls", "init", "--force", "--host", control.address)
    done = run(*control.lab.network.inside("/usr/bin/python3", "-c", ROTATE, control.address, str(control.port),
                                           str(control.ca_file), *renew))
    seen = json.loads(done.stdout)
    assert seen["before"] == seen["after"] == seen["kept"] == "HTTP/1.1 200 OK"
    assert seen["first"] != seen["second"]


def test_systemd_may_hold_the_socket(control):
    """The port that was passed counts, not Listen=, and no request is refused while controld starts."""
    passed = f"{control.address}:8556"
    command = control._command("serve")
    at = command.index("/usr/bin/unshare") if "/usr/bin/unshare" in command else command.index("unshare")
    with open(control.log, "ab") as log:
        control.lab.launch(control.name, [*command[:at], "systemd-socket-activate", "--listen", passed, *command[at:]],
                           stdout=log, stderr=log)
    url = f"https://{passed}/ready"
    wait_until("the socket to be served", lambda: control.lab.network.https_status(url, control.ca_file) == 200, 60)
    wait_until("controld to say so", lambda: f"Serving {passed}" in control.log_text(), 10)


def test_plain_http_is_for_the_loopback(control):
    done = control.controld("--insecure-http=yes", "serve", check=False)
    assert done.rc != 0
    assert "loopback" in done.stderr + done.stdout
