"""A pipe changes, and goes back: what an operator sees of its versions."""

from lab.fleet import pipe_text


def deployed(fleet, text):
    """The version that this text is."""
    return fleet.ctl("pipe", "deploy", write(fleet, text)).text.split()[2]


def write(fleet, text):
    path = fleet.lab.directory / "changing.pipe"
    path.write_text(text)
    return str(path)


def test_history_difference_and_rollback(fleet):
    first = pipe_text({"one": {"ExecStart": "/bin/true"}})
    second = pipe_text({"one": {"ExecStart": "/bin/true"}, "two": {"ExecStart": "/bin/false", "AfterFailure": "one"}})

    new = fleet.ctl("pipe", "diff", write(fleet, first), check=False)
    assert (new.rc, "+[Task one]" in new.stdout) == (1, True), new
    a = deployed(fleet, first)
    same = fleet.ctl("pipe", "diff", write(fleet, "# a comment\n" + first), check=False)
    assert (same.rc, same.stdout) == (0, ""), same
    changed = fleet.ctl("pipe", "diff", write(fleet, second), check=False)
    assert changed.rc == 1
    assert [line for line in changed.stdout.splitlines() if line[0] in "+-"][2:] == ["+", "+[Task two]", "+AfterFailure=one", "+ExecStart=/bin/false"]
    b = deployed(fleet, second)
    assert f"version {a} is current again" in fleet.ctl("pipe", "rollback", "changing").text
    assert fleet.ctl_json("pipe", "show", "changing")["version"] == a
    assert f"version {b} is current again" in fleet.ctl("pipe", "rollback", "changing").text, "and back"
    assert "is current already" in fleet.ctl("pipe", "rollback", "changing", f"--pipe-version={b}").text
    assert [d["version"] for d in fleet.ctl_json("pipe", "history", "changing")["items"]] == [b, a, b, a]
    assert "CURRENT SINCE" in fleet.ctl("pipe", "history", "changing").text


def test_a_directory_is_planned_and_applied(fleet):
    directory = fleet.lab.directory / "pipes"
    directory.mkdir()
    for n in range(150):
        (directory / f"d{n}.pipe").write_text(pipe_text({"one": {"ExecStart": f"/bin/echo {n}"}}))
    (directory / "notes.txt").write_text("no pipe")
    strangers = len(fleet.ctl_json("pipe", "list")["items"])
    stay = f" {strangers} that {'is deployed has' if strangers == 1 else 'are deployed have'} no file here, and stay{'s' * (strangers == 1)}." if strangers else ""
    plan = fleet.ctl("plan", str(directory), check=False)
    assert (plan.rc, plan.stdout.splitlines()[-1]) == (1, "150 new, 0 changed, 0 unchanged." + stay), plan
    assert fleet.ctl("apply", str(directory)).stdout.splitlines()[-1] == "150 new, 0 changed, 0 unchanged." + stay
    (directory / "d7.pipe").write_text("# the same\n" + (directory / "d7.pipe").read_text())
    (directory / "d8.pipe").write_text(pipe_text({"one": {"ExecStart": "/bin/echo other"}}))
    plan = fleet.ctl("plan", str(directory), check=False)
    assert plan.rc == 1 and [line.split()[:2] for line in plan.stdout.splitlines()[1:-1] if line] == [["d8", "changed"]], plan
    (directory / "d9.pipe").write_text("[Task one]\n")
    (directory / "d10.pipe").write_text("[Pip]\n")
    wrong = fleet.ctl("apply", str(directory), check=False)
    assert wrong.rc == 1 and "d9.pipe:" in wrong.stderr and "d10.pipe:" in wrong.stderr
    assert "echo 8" in fleet.ctl("pipe", "show", "d8").text, "nothing is deployed unless all can be"
    for n in (9, 10):
        (directory / f"d{n}.pipe").write_text(pipe_text({"one": {"ExecStart": f"/bin/echo {n}"}}))
    applied = fleet.ctl("apply", str(directory))
    assert [line for line in applied.stdout.splitlines() if "version" in line] == [applied.stdout.splitlines()[0]] and "d8: version" in applied.stdout
    assert fleet.ctl("plan", str(directory)).stdout.splitlines() == ["0 new, 0 changed, 150 unchanged." + stay]
    assert fleet.ctl("plan", "/nowhere", check=False).rc == 2
    twice = fleet.ctl("plan", str(directory), str(directory / "d1.pipe"), check=False)
    assert twice.rc == 2 and "are both the pipe d1" in twice.stderr


def test_all_mistakes_are_told_each_on_a_line(fleet):
    path = write(fleet, "[Pipe]\nTyp=batch\n[Task a]\nExecStart=true\nMemoryMax=lots\n")
    told = fleet.ctl("pipe", "verify", path, check=False)
    assert told.rc == 1
    assert [line.split(path)[1].split(" ")[0] for line in told.stderr.splitlines()] == [":2:1:", ":4:1:", ":5:1:"]
    assert fleet.ctl("pipe", "diff", path, check=False).rc == 2
    assert fleet.ctl("pipe", "rollback", "nowhere", check=False).rc == 1
