"""What the journal of a host does not have any more, nobody can ship: the log says where that is."""

import pytest
from lab.shell import wait_until
from test_careless import all_is_well, begun

COUNTS = "echo on; i=0; while ! test -e /run/lab-go; do i=$((i+1)); echo $i; sleep 0.05; done"
ANEW = "systemd-journald was started anew: lines may be missing here."
BEGINS = "The journal of this host begins here: lines from before may be gone."
SILENCE = "systemctl stop systemd-journald.service systemd-journald.socket systemd-journald-dev-log.socket systemd-journald-audit.socket"
EVERY_FILE = "rm -f /run/log/journal/*/* /var/log/journal/*/*"


@pytest.fixture
def counting(agent):
    yield begun(agent, COUNTS, ["OnAgentLoss=wait"])
    agent.node.run("systemctl start systemd-journald; rm -f /run/lab-go")
    all_is_well(agent)


def reads(run, at_least):
    wait_until(f"{at_least} lines", lambda: len(run.lines()) >= at_least, 60)


def finish(agent, run):
    """All lines; none is missing but before one that says so."""
    agent.node.run("touch /run/lab-go", check=True)
    lines = run.wait_succeeded().wait_log_complete().lines()
    for before, line in zip(lines[1:], lines[2:]):
        assert not (before.isdigit() and line.isdigit()) or int(line) == int(before) + 1, lines
    return lines


def test_all_files_are_removed_under_a_task(agent, counting):
    """journald writes on into a file that is gone until it sees that."""
    reads(counting, 20)
    agent.node.run(EVERY_FILE, check=True)
    wait_until("journald to begin a new file", lambda: agent.node.run("ls /var/log/journal/*/system.journal").rc == 0, 60)
    reads(counting, 40)
    lines = finish(agent, counting)
    assert lines.count(BEGINS) == 1 and ANEW not in lines


def test_all_files_are_removed_while_agentd_is_away(agent, counting):
    reads(counting, 20)
    agent.node.run(f"systemctl stop agentd; sleep 1; journalctl --rotate; journalctl --vacuum-time=1s; {EVERY_FILE}; systemctl start agentd", check=True)
    agent.wait_status("Running")
    reads(counting, 40)
    lines = finish(agent, counting)
    assert lines.count(BEGINS) == 1 and ANEW not in lines


@pytest.mark.parametrize("how", ["restart", "kill --signal=KILL"])
def test_journald_is_started_anew(agent, counting, how):
    """PID 1 keeps what tasks write for it: all is there, but nobody could know that."""
    reads(counting, 20)
    agent.node.run(f"systemctl {how} systemd-journald", check=True)
    reads(counting, 60)
    lines = finish(agent, counting)
    assert lines.count(ANEW) == 1 and BEGINS not in lines
    numbers = [int(line) for line in lines if line.isdigit()]
    assert numbers == list(range(1, len(numbers) + 1))


def test_journald_is_stopped_for_a_while(agent, counting):
    """What wrote to it has nobody who reads, for good."""
    reads(counting, 20)
    agent.node.run(f"{SILENCE}; sleep 1; systemctl start systemd-journald", check=True)
    wait_until("the log to say so", lambda: ANEW in counting.lines(), 60)
    assert finish(agent, counting)[-1] == ANEW


def test_a_task_begins_and_ends_without_journald(agent):
    agent.node.run(SILENCE, check=True)
    try:
        run = agent.shell("echo on", ["OnAgentLoss=wait"]).wait_succeeded()
    finally:
        agent.node.run("systemctl start systemd-journald", check=True)
    assert run.wait_log_complete().lines() == [ANEW]
    all_is_well(agent)


def test_a_journal_that_cannot_be_opened_is_waited_for(agent):
    """Each of what is gone has a journal of its own, and more of these than are read at a time: nothing is complete without its end."""
    agent.node.put("/etc/sluice/agentd.conf.d/slots.conf", "[Agent]\nSlots=8\n")
    try:
        agent.node.run("systemctl restart agentd", check=True)
        runs = [begun(agent, COUNTS, ["OnAgentLoss=wait"]) for _ in range(6)]
        units = [run.attempt()["unit"] for run in runs]
        agent.node.run("systemctl stop agentd; touch /run/lab-go", check=True)
        for unit in units:
            wait_until("the task to end", lambda unit=unit: agent.node.property(unit, "SubState") == "exited", 30)
        since = agent.node.run("date +%s", check=True).text
        agent.node.run(f"systemctl stop {' '.join(units)}; sysctl -q fs.inotify.max_user_instances=0; systemctl start agentd", check=True)
        agent.wait_status("Running")
        wait_until("agentd to say so", lambda: "Cannot read the journal" in agent.node.journal(f"-u agentd --since=@{since}"), 60)
        for run in runs:
            wait_until("its end to be known", lambda run=run: run.attempt()["ended_at"], 60)
        agent.node.run("sysctl -q fs.inotify.max_user_instances=128", check=True)
        for run, unit in zip(runs, units):
            said = agent.node.run(f"journalctl --output=cat _SYSTEMD_UNIT={unit}", check=True).text.splitlines()
            assert run.wait_log_complete().lines() == said
    finally:
        agent.node.run("sysctl -q fs.inotify.max_user_instances=128; rm -f /run/lab-go /etc/sluice/agentd.conf.d/slots.conf; systemctl restart agentd", check=True)
    all_is_well(agent)


def test_what_an_earlier_boot_says_is_no_gap_of_this_one(agent):
    """Its times are counted from another beginning: what is later there is not later here."""
    agent.node.run("until [ $(cut -d. -f1 /proc/uptime) -gt 60 ]; do sleep 1; done; systemctl restart systemd-journald; journalctl --sync", check=True, timeout=120)
    agent.node.reboot()
    agent.wait_status("Running")
    run = agent.shell("for i in $(seq 20); do echo $i; sleep 0.1; done").wait_succeeded().wait_log_complete()
    assert run.lines() == [str(i + 1) for i in range(20)]
    all_is_well(agent)


def test_lines_of_a_user_of_the_host(agent):
    """journald keeps them in a file of that user."""
    agent.node.put("/etc/sluice/policy.conf.d/alice.conf", "[Policy]\nAllowUsers=alice\n")
    agent.node.run("useradd --uid 1234 alice", check=True)
    try:
        assert agent.shell("echo on; id -u", User="alice").wait_succeeded().wait_log_complete().lines() == ["on", "1234"]
        agent.node.run("ls /var/log/journal/*/user-1234.journal", check=True)
    finally:
        agent.node.run("userdel alice; rm -f /etc/sluice/policy.conf.d/alice.conf")
