"""Three hosts share the work."""

import collections

from lab.fleet import pipe_text


def test_twelve_runs_spread_over_three_nodes(fleet):
    agents = fleet.boot_together("a", "b", "c")
    try:
        fleet.deploy("spread", pipe_text({"work": {"ExecStart": "/bin/sleep 8"}}, "lab"))
        runs = [fleet.start_run("spread") for _ in range(12)]
        places = collections.Counter()
        for run in runs:
            run.wait_succeeded(timeout=180)
            attempts = run.attempts()
            assert len(attempts) == 1, "each task ran once"
            places[attempts[0]["agent"]] += 1
        assert places == {agent.name: 4 for agent in agents}
        seen = [agent.node.run("journalctl -o cat --no-pager | grep -c 'Started sluice-' || true").text for agent in agents]
        assert sum(int(n) > 0 for n in seen) == 3
    finally:
        for agent in agents[1:]:
            agent.node.shut_down()
