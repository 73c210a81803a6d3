"""A graph of tasks runs as its edges say, each task once, while the control plane is killed again and again."""

import random
import re

from lab.fleet import Run, command
from lab.shell import wait_until

SIZE, SEED = 14, 8


def draw(seed):
    """{task: (edges, how it ends, how often it fails before)}, by chance; edges go to earlier ones only."""
    chance, graph = random.Random(seed), {}
    for n in range(SIZE):
        before = list(graph)
        edges = {key: sorted(chance.sample(before, min(len(before), chance.choice(most))))
                 for key, most in (("After", (0, 0, 1, 1, 2)), ("AfterFailure", (0, 0, 0, 2)), ("AfterAny", (0, 0, 0, 1)))}
        graph[f"t{n}"] = (edges, chance.choice(("succeeded", "succeeded", "succeeded", "failed")), int(chance.random() < 0.2))
    return graph


def foresee(graph):
    """{task: (state, how often it began)}: from the first to the last, by the rules of sluice.pipe(5)."""
    ends = {}
    for task, (edges, end, failures) in graph.items():
        began = (all(ends[b][0] == "succeeded" for b in edges["After"])
                 and (not edges["AfterFailure"] or any(ends[b][0] == "failed" for b in edges["AfterFailure"])))
        ends[task] = (end, 1 + failures) if began else ("skipped", 0)
    return ends


def directives(task, edges, end, failures):
    mark = f"$SLUICE_WORKSPACE/{task}"
    script = f"echo began {task}; "
    if failures:
        script += f"test -e {mark} || {{ touch {mark}; exit 7; }}; "
    script += {"succeeded": "exit 0", "failed": "exit 3"}[end]
    return {"ExecStart": command(["/bin/sh", "-c", script]), "Retry": 1 if failures else None,
            "RetryOn": "7" if failures else None, "RetryBackoffSec": "1s" if failures else None,
            **{key: " ".join(names) or None for key, names in edges.items()}}


def test_a_graph_runs_as_foreseen_while_controld_dies(agent):
    graph = draw(SEED)
    expected = foresee(graph)
    assert {"succeeded", "failed", "skipped"} == {state for state, _ in expected.values()}
    run = agent.run_tasks({t: {k: v for k, v in directives(t, *node).items() if v} for t, node in graph.items()})
    control, kills = agent.fleet.control, 0
    while not run.show()["ended_at"]:
        attempts = len(run.attempts())
        wait_until("something more to begin", lambda: len(run.attempts()) > attempts + 2 or run.show()["ended_at"], 60)
        control.kill()
        control.start()
        kills += 1
    assert kills >= 2
    run.wait_log_complete()
    tasks = {t["task"]: (t["state"], len(t["attempts"])) for t in run.show()["tasks"]}
    assert tasks == expected
    began = [line.split()[1] for line in run.lines() if line.startswith("began ")]
    assert sorted(began) == sorted(t for t, (_, times) in expected.items() for _ in range(times))


def test_what_is_left_is_done_again(agent):
    """The first try fails for what is not on the host yet; a rerun passes over what was done, and goes on where it stopped."""
    tasks = {"fetch": {"ExecStart": "/bin/sh -c 'echo fetch'"},
             "load": {"After": "fetch", "ExecStart": "/bin/sh -c 'test -e /srv/ready && echo load'"},
             "tell": {"After": "load", "ExecStart": "/bin/sh -c 'echo tell'"}}
    failed = agent.run_tasks(tasks).wait_failed()
    agent.node.run("touch /srv/ready", check=True)
    done = agent.fleet.ctl("rerun", "--wait", failed.id)
    assert done.rc == 0 and f"fetch: is passed over: succeeded in run {failed.id}." in done.text
    again = Run(agent.fleet, re.search(r"Run (\S+) of", done.text).group(1)).wait_succeeded().wait_log_complete()
    assert again.lines() == ["load", "tell"] and again.show()["rerun_of"] == failed.id
    assert "Nothing of run" in agent.fleet.ctl("rerun", again.id, check=False).stderr
    assert agent.fleet.ctl("rerun", "--wait", "--from=load", "--skip=fetch,tell", again.id).rc == 0
