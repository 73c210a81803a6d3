"""Webhooks over verified HTTPS: the shell commands of docs/webhooks.md start a run, once for each message; forged ones do not."""

import json
import re
from pathlib import Path

import pytest

from lab.fleet import Run
from lab.shell import run as run_here

DOCS = Path(__file__).resolve().parents[2] / "docs/webhooks.md"
PIPE = "\n".join(["[Parameter day]", "Type=date", "Required=yes", "[Task load]",
                  "ExecStart=/bin/echo loading ${day}", ""])


@pytest.fixture(scope="module")
def webhook(the_fleet):
    the_fleet.agent("a")
    the_fleet.deploy("orders", PIPE)
    return the_fleet.ctl_json("webhook", "create", "orders", "vendor", "--param-from=day=/data/day")


def documented_commands():
    """The block below "With a shell:", without its indentation."""
    block = re.search(r"^With a shell:\n\n((?:    .*\n)+)", DOCS.read_text(), re.M).group(1)
    return re.sub(r"^    ", "", block, flags=re.M)


def send(fleet, webhook, secret=None, before="", **change):
    """What the documented commands print: status and body. change: variables that have other values."""
    control = fleet.control
    script = documented_commands()
    for name, value in change.items():
        script = re.sub(rf"\b{name}=(?:'[^']*'|\$\([^)]*\))", lambda _, new=f"{name}='{value}'": new, script)
    script = script.replace("curl --fail ", f"curl --silent --write-out '\\n%{{http_code}}' --cacert {control.ca_file} ")
    answer = run_here(*control.lab.network.inside(
        "env", f"secret={secret or webhook['secret']}", f"url={control.url}/api/v1/webhooks/{webhook['webhook']}/deliveries",
        "bash", "-c", before + script))
    body, status = answer.stdout.rsplit("\n", 1)
    return int(status), json.loads(body)


def test_the_documented_commands_start_one_run_for_a_message(the_fleet, webhook):
    status, first = send(the_fleet, webhook, id="message-1")
    assert status == 202
    assert Run(the_fleet, first["run"]).wait_succeeded().wait_log_complete().lines() == ["loading 2024-02-29"]
    assert send(the_fleet, webhook, id="message-1") == (202, first)
    status, second = send(the_fleet, webhook)
    assert status == 202 and second["run"] != first["run"]


def test_a_controld_that_is_killed_still_knows_message_and_secret(the_fleet, webhook):
    status, before = send(the_fleet, webhook, id="message-2")
    the_fleet.control.kill()
    the_fleet.control.start()
    assert (status, send(the_fleet, webhook, id="message-2")) == (202, (202, before))


def test_forged_and_stale_ones_start_nothing(the_fleet, webhook):
    runs = len(the_fleet.ctl_json("runs", "--pipe=orders", "--limit=1000")["items"])
    forged = webhook["secret"][:-6] + "AAAAA="
    status, problem = send(the_fleet, webhook, secret=forged)
    assert (status, problem["code"]) == (403, "bad-signature")
    unknown = dict(webhook, webhook="00000000-0000-4000-8000-000000000000")
    assert send(the_fleet, unknown) == (status, problem)  # nothing is said of whether there is one
    status, problem = send(the_fleet, webhook, now=1614265330)
    assert (status, problem["code"]) == (400, "stale-message")
    status, problem = send(the_fleet, webhook, id="message-3", body='{"data": {"day": "2024-02-30"}}')
    assert (status, problem["code"]) == (422, "message-refused") and "2024-02-30" in problem["detail"]
    status, problem = send(the_fleet, webhook, body='["day"]')
    assert status == 400
    status, problem = send(the_fleet, webhook, body='{"data": {"day": "\\u0000"}}')
    assert status in (400, 422)
    assert len(the_fleet.ctl_json("runs", "--pipe=orders", "--limit=1000")["items"]) == runs
    history = the_fleet.ctl_json("webhook", "history", webhook["webhook"])["items"]
    assert [m["message"] for m in history if m["refused"] and m["message"].startswith("message")] == ["message-3"]


def test_a_deleted_one_takes_nothing(the_fleet, webhook):
    the_fleet.ctl("webhook", "delete", webhook["webhook"])
    status, problem = send(the_fleet, webhook)
    assert (status, problem["code"]) == (404, "webhook-not-found")
    assert the_fleet.ctl_json("webhook", "list")["items"] == []
