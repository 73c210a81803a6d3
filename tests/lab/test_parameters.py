"""Values reach programs as they are, whatever is in them; what the policy says holds for the line with its values."""

import pytest

from lab.fleet import Run, pipe_text
from lab.shell import wait_until

ODD = "a  $HOME ${HOME} $$ %n \"d\" 'q' ; | & $(id) `id` \\ \\x41 {x} é \t\n--second\n"
HEX = 'printf %%s "$$a" | od -An -v -tx1 | tr -d " \\n"'
EACH = f'for a; do echo "=$$({HEX})"; done'


def deploy(fleet, name, parameters, tasks):
    sections = "".join(f"\n[Parameter {p}]\n" + "".join(f"{k}={v}\n" for k, v in words.items()) for p, words in parameters.items())
    return fleet.deploy(name, pipe_text(tasks, "node=a") + sections)


def given(fleet, pipe, **values):
    return Run(fleet, fleet.ctl_json("run", pipe, *[f"--param={k}={v}" for k, v in values.items()])["run"])


@pytest.fixture
def fleet_of_one(agent):
    return agent.fleet


def test_a_value_is_one_unchanged_argument(fleet_of_one):
    fleet = fleet_of_one
    deploy(fleet, "odd", {"odd": {}, "empty": {}, "day": {"Type": "date", "Default": "yesterday"}}, {
        "show": {"ExecStart": f"/bin/sh -c '{EACH}' sh ${{odd}} <${{odd}}> \"${{empty}}\" '$${{odd}}' ${{day}}"},
        "plain": {"ExecStart": f":/bin/sh -c '{EACH.replace('$$', '$')}' sh ${{odd}} $${{odd}}"},
        "around": {"ExecStart": f"/bin/sh -c 'a=$$A$$SLUICE_PARAM_ODD; echo \"$$({HEX})\"; pwd; cat'",
                   "Environment": "\"A=<${odd}>\" B=${empty}", "WorkingDirectory": "/usr/${empty}share",
                   "StandardInput": "data", "StandardInputText": "in ${odd}"}})
    run = given(fleet, "odd", odd=ODD).wait_succeeded().wait_log_complete()
    value = ODD.encode().hex()
    lines = run.lines("show")
    assert lines[:4] == [f"={value}", f"=3c{value}3e", "=", f"={'${odd}'.encode().hex()}"]
    day = next(v for v in run.show()["parameters"] if v["name"] == "day")
    assert lines[4:] == [f"={day['value'].encode().hex()}"]
    assert day["origin"] == "pipe" and len(day["value"]) == 10
    assert run.lines("plain") == [f"={value}", f"={'${odd}'.encode().hex()}"]
    assert run.lines("around")[:2] == [f"3c{value}3e{value}", "/usr/share"]
    assert run.lines("around")[2].startswith("in a  $HOME ${HOME} $$ %n ")
    assert "odd=" in fleet.ctl("explain", run.id).stdout


def test_specifiers_are_what_they_are_in_a_unit_file(fleet_of_one):
    fleet, node = fleet_of_one, fleet_of_one.agent("a").node
    words = "%H %l %m %b %v %t %S %C %L %E %T %V %% 50% %%n"
    deploy(fleet, "specifiers", {}, {"a": {"ExecStart": f"/bin/echo {words} %n %N %d", "Environment": "HOST=%H"}, "b": {"ExecStart": "/usr/bin/printenv HOST",
                                                                                                                "Environment": "HOST=%H"}})
    run = given(fleet, "specifiers").wait_succeeded().wait_log_complete()
    node.put("/run/systemd/system/specifiers.service", f"[Service]\nType=oneshot\nStandardOutput=file:/run/said\nExecStart=/bin/echo {words} %n %N\n")
    node.run("systemctl daemon-reload && systemctl start specifiers.service", check=True)
    said = node.run("cat /run/said").text.replace("specifiers", run.attempt("a")["unit"].removesuffix(".service"))
    assert run.lines("a") == [f"{said} /run/credentials/{run.attempt('a')['unit']}"]
    assert run.lines("b") == [node.run("hostname").text]


def test_what_is_wrong_is_said_before_anything_begins(fleet_of_one):
    fleet = fleet_of_one
    deploy(fleet, "strict", {"n": {"Type": "integer", "Required": "yes"}, "mode": {"Type": "enum", "Values": "full delta"}},
           {"a": {"ExecStart": "/bin/true ${n}"}})
    refused = fleet.ctl("run", "strict", "--param=mode=all", "--param=modes=x", check=False)
    assert refused.rc == 1
    for words in ('"n": it needs a value: say --param n=VALUE', '"all" is not one of full, delta', 'did you mean "mode"?'):
        assert words in refused.stderr
    assert given(fleet, "strict", n=1, mode="full").wait_succeeded()


def test_the_policy_sees_the_line_with_its_values(fleet_of_one):
    fleet = fleet_of_one
    deploy(fleet, "path", {"dir": {"Default": "bin"}, "where": {"Default": ""}},
           {"a": {"ExecStart": "/usr/${dir}/true", "WorkingDirectory": "/usr${where}"}})
    assert given(fleet, "path").wait_succeeded()
    for values, words in (({"dir": "bin/../sbin"}, '".."'), ({"dir": "$HOME"}, "cannot be part of the program's path"),
                          ({"where": "/../etc"}, "WorkingDirectory=")):
        attempt = given(fleet, "path", **values).wait_failed().attempt()
        assert attempt["outcome"] == "refused" and words in attempt["reason"]
    node = fleet.agent("a").node
    node.run("mkdir -p /etc/sluice/policy.conf.d && printf '[Policy]\\nAllowExecutables=/usr/bin/*\\n' > /etc/sluice/policy.conf.d/bin.conf", check=True)
    try:
        attempt = given(fleet, "path", dir="sbin").wait_failed().attempt()
        assert attempt["outcome"] == "refused" and "/usr/sbin/true" in attempt["reason"]
    finally:
        node.run("rm /etc/sluice/policy.conf.d/bin.conf", check=True)


def test_outputs_reach_later_tasks_though_agentd_dies(fleet_of_one):
    fleet = fleet_of_one
    node = fleet.agent("a").node
    deploy(fleet, "flow", {}, {
        "extract": {"ExecStart": r"""/bin/sh -c 'echo rows=5 > $$SLUICE_OUTPUT; echo "note=$$1" >> $$SLUICE_OUTPUT; sleep 3' sh 'a $$HOME "b'"""},
        "json": {"ExecStart": r"""/bin/sh -c 'printf %%s "$$1" > $$SLUICE_OUTPUT' sh '{"n": 1.5, "ok": true, "lines": "a\\nb"}'"""},
        "load": {"After": "extract json", "ExecStart": f"/bin/sh -c '{EACH}' sh ${{extract.rows}} \"${{extract.note}}\" ${{json.n}} ${{json.ok}} ${{json.lines}}"}})
    run = given(fleet, "flow").wait_running("extract")
    node.run("systemctl kill -s KILL agentd.service && systemctl mask --runtime --now agentd.service", check=True)
    unit = run.attempt("extract")["unit"]
    wait_until("the task to end", lambda: node.run(f"systemctl show -P SubState {unit}").text == "exited", 60)
    node.run("systemctl unmask --runtime agentd.service && systemctl start agentd.service", check=True)
    run.wait_succeeded().wait_log_complete()
    assert run.attempt("extract")["output"] == {"rows": "5", "note": 'a $HOME "b'}
    assert run.attempt("json")["output"] == {"n": "1.5", "ok": "true", "lines": "a\nb"}
    assert run.lines("load") == [f"={v.encode().hex()}" for v in ("5", 'a $HOME "b', "1.5", "true", "a\nb")]


HOSTILE = {
    "link": ("ln -s /etc/shadow $$SLUICE_OUTPUT", "it is a symbolic link"),
    "fifo": ("mkfifo $$SLUICE_OUTPUT", "it is no regular file"),
    "directory": ("mkdir $$SLUICE_OUTPUT", "it is no regular file"),
    "hard": ("echo a=1 > x; ln x $$SLUICE_OUTPUT", "it has other names"),
    "huge": ("truncate -s 1T $$SLUICE_OUTPUT", "it is larger than 64 KiB"),
    "binary": ("head -c 100 /bin/sh > $$SLUICE_OUTPUT", "there is a NUL byte"),
    "lines": ("echo nonsense > $$SLUICE_OUTPUT", "line 1 is not KEY=VALUE"),
    "secret": ("echo k=AKIA\"\"IOSFODNN7EXAMPLE > $$SLUICE_OUTPUT", "line 1: output k looks like an AWS access key"),
    "closed": ("echo a=1 > $$SLUICE_OUTPUT; chmod 0 $$SLUICE_OUTPUT", None),
    "none": ("true", None),
}


def test_hostile_outputs_are_failures_that_say_so(fleet_of_one):
    fleet = fleet_of_one
    deploy(fleet, "hostile", {}, {name: {"ExecStart": f"/bin/sh -c '{script}'"} for name, (script, _) in HOSTILE.items()})
    run = given(fleet, "hostile").wait_failed()
    for name, (_, words) in HOSTILE.items():
        attempt = run.attempt(name)
        if words is None:
            assert attempt["outcome"] == "success", attempt
            continue
        assert (attempt["outcome"], attempt["exit_status"], attempt["output"]) == ("output", 0, None), attempt
        assert f"Its $SLUICE_OUTPUT does not count: {words}" in attempt["reason"]
        assert "AKIA" not in attempt["reason"]
    assert run.attempt("closed")["output"] == {"a": "1"}
    deploy(fleet, "missing", {}, {"a": {"ExecStart": "/bin/true"}, "b": {"After": "a", "ExecStart": "/bin/true ${a.rows}"}})
    attempt = given(fleet, "missing").wait_failed().attempt("b")
    assert attempt["outcome"] == "refused" and "there is no value for ${a.rows}" in attempt["reason"]
