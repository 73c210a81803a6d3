"""The packages on a machine with systemd: the quickstart that installs them there, controld in its sandbox, and their removal."""

import io
import re
import tarfile
from pathlib import Path

import pytest

from lab import image
from lab.shell import wait_until

TOP = Path(__file__).resolve().parents[2]
QUICKSTART = "cd /srv/sluice && python3 -B tests/lab/quickstart.py --packages=/srv/sluice/dist --log=/srv/quickstart.log"


def needed_files(lab):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        for path in [*TOP.glob("tests/lab/*.py"), *TOP.glob("tests/lab/lab/*.py"), *TOP.glob("examples/*.pipe")]:
            tar.add(path, f"sluice/{path.relative_to(TOP)}")
        for deb in lab.debs:
            tar.add(deb, f"sluice/dist/{deb.name}")
    return data.getvalue()


@pytest.fixture(scope="module")
def machine(lab):
    """A machine with PostgreSQL and what the packages need, but without them."""
    node = lab.node("machine", memory="1G", disk=lab.keep("whole-site", lambda: image.node_disk([], image.WHOLE_SITE))).boot()
    node.put("/srv/sluice.tar.gz", needed_files(lab))
    node.run("tar -xzf /srv/sluice.tar.gz -C /srv", check=True)
    yield node
    node.power_cut()


@pytest.fixture(scope="module")
def first(machine):
    return machine.run(f"{QUICKSTART} up", timeout=600)


def test_the_quickstart_uses_the_machine_itself(machine, first):
    assert first.rc == 0, first.stdout + first.stderr + machine.run("tail -n 50 /srv/quickstart.log; journalctl -n 50").stdout
    assert "this machine" in first.stdout
    for words in ("packages: success", "memory-hog: oom-kill"):
        assert words in first.stdout
    assert machine.run("systemctl is-active controld agentd").text.split() == ["active", "active"]


def test_status_and_ctl(machine, first):
    status = machine.run(f"{QUICKSTART} status")
    assert status.rc == 0 and "Running" in status.stdout
    assert "machine" in machine.run(f"{QUICKSTART} ctl agents").stdout


@pytest.mark.parametrize("unit", ["controld", "agentd"])
def test_daemons_are_not_root(machine, first, unit):
    pid = machine.property(unit, "MainPID")
    assert machine.run(f"ps -o user= -p {pid}").text.startswith("sluice")


def test_a_crashed_controld_comes_back_by_itself(machine, first):
    machine.run("systemctl kill --signal=KILL --kill-whom=main controld", check=True)
    wait_until("controld to serve again", lambda: machine.run(f"{QUICKSTART} status").rc == 0, 120, 1)


@pytest.mark.parametrize("unit, limit", [("controld", 3.0), ("agentd", 3.0)])
def test_the_sandbox_is_tight(machine, first, unit, limit):
    verdict = machine.run(f"systemd-analyze security --no-pager {unit}.service").stdout
    assert float(re.search(r"exposure level[^:]*: ([\d.]+)", verdict)[1]) <= limit


def test_units_are_valid(machine, first):
    assert machine.run("systemd-analyze verify --man=no /lib/systemd/system/{agentd,agentd-exec,controld}.service 2>&1 | grep -i -e sluice -e agentd -e controld").text == ""


def test_purge_removes_everything(machine, first):
    machine.run(f"{QUICKSTART} stop --purge", timeout=300, check=True)
    assert machine.run("dpkg -l 'sluice-*' | grep -c ^[ir]").text == "0"
    left = machine.run("ls -d /etc/sluice /var/lib/sluice-controld /var/lib/sluice-agentd /var/lib/private/sluice* /usr/share/sluice 2>/dev/null").text
    assert left == ""
    assert machine.run("systemctl list-units --all --no-legend 'sluice*' agentd.service controld.service | grep -v not-found").text == ""
