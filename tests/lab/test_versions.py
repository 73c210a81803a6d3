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


def test_all_mistakes_are_told_each_on_a_line(fleet):
    path = write(fleet, "[Pipe]\nTyp=batch\n[Task a]\nExecStart=true\nMemoryMax=lots\n")
    told = fleet.ctl("pipe", "verify", path, check=False)
    assert told.rc == 1
    assert [line.split(path)[1].split(" ")[0] for line in told.stderr.splitlines()] == [":2:1:", ":4:1:", ":5:1:"]
    assert fleet.ctl("pipe", "diff", path, check=False).rc == 2
    assert fleet.ctl("pipe", "rollback", "nowhere", check=False).rc == 1
