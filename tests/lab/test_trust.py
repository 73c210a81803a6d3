"""Who is not trusted does not get in, and both sides say why."""

import re

import pytest

from lab.controlplane import ControlPlane
from lab.fleet import Agent
from lab.shell import wait_until


@pytest.fixture(scope="module")
def stranger(the_fleet):
    """A host with the package installed that belongs to nobody yet."""
    agent = Agent(the_fleet, "stranger")
    if not agent.node.pid:
        agent.node.boot()
    yield agent
    agent.node.shut_down()


def try_to_join(stranger, **options):
    """Configures agentd, starts it, and returns a function that waits for a message on each side."""
    node, control = stranger.node, stranger.fleet.control
    node.run("systemctl stop agentd; rm -rf /var/lib/sluice-agentd/*")
    stranger.configure(**options)
    cursor = re.search(r"-- cursor: (.*)", node.journal("-n 1 --show-cursor").replace("\r", "") or
                       node.run("journalctl -n 1 --show-cursor").stdout)
    said = len(control.log_text())
    node.run("systemctl start agentd")

    def expect(agent_says, controld_says):
        after = f"--after-cursor='{cursor[1]}'" if cursor else "-b"
        wait_until(f"agentd to say /{agent_says}/", lambda: re.search(agent_says, node.journal(f"-o cat -u agentd {after}"), re.I), 30)
        wait_until(f"controld to say /{controld_says}/", lambda: re.search(controld_says, control.log_text()[said:], re.I), 30)
        assert stranger.status() is None, "it must not be in the fleet"
        node.run("systemctl stop agentd")
    return expect


def test_a_server_with_another_ca_is_refused(fleet, stranger):
    other = ControlPlane(fleet.lab, name="other").prepare()
    expect = try_to_join(stranger, ca=other.ca_file.read_text())
    expect(r"certificate|CA\b", r"TLS|certificate|handshake")


def test_an_invented_key_is_refused(fleet, stranger):
    expect = try_to_join(stranger, key="slk_" + "0" * 43)
    expect(r"key", r"key")


def test_a_revoked_key_is_refused(fleet, stranger):
    before = {k["key_id"] for k in fleet.ctl_json("key", "list")["items"]}
    key = fleet.key("--type=enrolment")
    made = next(k["key_id"] for k in fleet.ctl_json("key", "list")["items"] if k["key_id"] not in before)
    fleet.ctl("key", "revoke", made)
    expect = try_to_join(stranger, key=key)
    expect(r"revoked", r"revoked")


def test_with_a_good_key_the_same_host_joins(fleet, stranger):
    stranger.node.run("systemctl stop agentd; rm -rf /var/lib/sluice-agentd/*")
    stranger.bring_up()
    stranger.run(["/bin/true"]).wait_succeeded()


def test_the_credential_is_the_agents_alone(fleet, agent):
    assert agent.node.run("stat -c '%a %U' /var/lib/sluice-agentd/credential").text == "600 sluice-agent"


def test_the_agent_listens_on_nothing(fleet, agent):
    pids = agent.node.run("systemctl show --value -p MainPID agentd").text
    assert f"pid={pids}," not in agent.node.run("ss -Hlntup").stdout
