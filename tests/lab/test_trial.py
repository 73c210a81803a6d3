"""A draft runs on a real host before anybody deploys it, and the fleet says who could take it."""

from lab.fleet import pipe_text


def write(fleet, name, text):
    path = fleet.lab.directory / f"{name}.pipe"
    path.write_text(text)
    return str(path)


def test_a_draft_runs_on_one_agent_and_is_not_deployed(agent):
    fleet = agent.fleet
    draft = write(fleet, "draft", pipe_text({
        "make": {"ExecStart": "/bin/sh -c 'echo ${n} > $$SLUICE_WORKSPACE/n; echo made'"},
        "read": {"After": "make", "ExecStart": "/bin/sh -c 'exit $$(cat $$SLUICE_WORKSPACE/n)'"}}, "nowhere", ("ConcurrencyLimit=1",))
        + "\n[Parameter n]\nType=integer\n[Schedule often]\nOnCalendar=*:*:*\n")
    followed = fleet.ctl("pipe", "try", draft, "--on=a", "--param=n=7", "--follow", check=False)
    assert followed.rc == 7 and "made" in followed.stdout, followed
    assert "draft" not in [p["pipe"] for p in fleet.ctl_json("pipe", "list")["items"]]
    trial = fleet.ctl_json("runs", "--trial=yes")["items"][0]
    assert trial["pipe"] == "draft" and trial["version"].startswith("draft-") and trial["outcome"] == "exit-code"
    assert "Trial: of a draft" in fleet.ctl("run", "show", trial["run"]).stdout
    assert trial["run"] not in [r["run"] for r in fleet.ctl_json("runs", "--trial=no")["items"]]
    assert "is no version" in fleet.ctl("rerun", trial["run"], check=False).stderr


def test_the_policy_of_the_host_holds_for_a_draft(agent):
    fleet, node = agent.fleet, agent.node
    draft = write(fleet, "refused", pipe_text({"a": {"ExecStart": "/usr/sbin/true"}}))
    node.run("mkdir -p /etc/sluice/policy.conf.d && printf '[Policy]\\nAllowExecutables=/usr/bin/*\\n' > /etc/sluice/policy.conf.d/bin.conf", check=True)
    try:
        tried = fleet.ctl("pipe", "try", draft, "--on=a", "--wait", check=False)
        assert tried.rc == 1 and "refused" in tried.stdout and "/usr/sbin/true" in tried.stdout, tried
    finally:
        node.run("rm /etc/sluice/policy.conf.d/bin.conf", check=True)


def test_an_agent_that_takes_nothing_says_so_at_once(agent):
    fleet = agent.fleet
    draft = write(fleet, "paused", pipe_text({"a": {"ExecStart": "/bin/true"}}))
    fleet.ctl("agent", "pause", "a", "--reason=a look")
    try:
        assert 'Agent "a" cannot try this now: it is paused by owner' in fleet.ctl("pipe", "try", draft, "--on=a", check=False).stderr
        assert "are paused" in fleet.ctl("pipe", "verify", "--online", draft).stdout
    finally:
        fleet.ctl("agent", "resume", "a")
    assert fleet.ctl("pipe", "try", draft, "--on=a/a", "--wait").rc == 0


def test_the_fleet_is_asked_before_deploying(agent):
    fleet = agent.fleet
    young = write(fleet, "young", pipe_text({"a": {"ExecStart": "/bin/true", "MemoryZSwapWriteback": "no"}}, "node=a"))
    version = agent.node.run("systemctl --version | head -n 1 | cut -d ' ' -f 2", check=True).text
    asked = fleet.ctl("pipe", "verify", "--online", young, check=False)
    if int(version) < 256:
        assert asked.rc == 1 and f"its systemd {version} is too old for MemoryZSwapWriteback= (since 256)" in asked.stdout, asked
    else:
        assert asked.rc == 0 and "can take it" in asked.stdout, asked
