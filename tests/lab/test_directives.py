"""Every row of the directive table against PID 1, on the oldest and the newest systemd there is a Debian of: the unit that agentd-exec
starts reads back as one that systemd-run starts with the same text, and lists as those of a unit file."""

import json
import re
import shlex
from pathlib import Path

import pytest
from lab import image
from lab.shell import wait_until

TOP = Path(__file__).resolve().parents[2]
TABLE = (TOP / "common/directive-table.c").read_text(encoding="ascii")
SUITES = {"bookworm": 252, "trixie": 257}
DISK = "/dev/ubda"

# What each directive is given, one value for each round; a list stands several times. Rounds beyond the last value leave it out.
VALUES = {
    "ExecStart": ["/usr/bin/sleep 5 ${A}", "-/usr/bin/sleep \"5\"", ":/usr/bin/sleep 5 $A %n"],
    "ExecCondition": [["/usr/bin/true", "-/usr/bin/false"], [":/usr/bin/true $A"]],
    "ExecStartPre": [["/usr/bin/true \"a b\"", "/usr/bin/true x\\x41"]],
    "ExecStartPost": [["-/usr/bin/true"]],
    "RuntimeMaxSec": ["90", "2h 30min", "infinity"],
    "RuntimeRandomizedExtraSec": ["5s"],
    "TimeoutStopSec": ["7s", "1min 3s"],
    "TimeoutAbortSec": ["6s"],
    "TimeoutStartFailureMode": ["abort", "kill", "terminate"],
    "TimeoutStopFailureMode": ["kill", "terminate"],
    "SuccessExitStatus": [["3 TEMPFAIL SIGUSR1", "USR2 250"], ["0 1"]],
    "RestartPreventExitStatus": [["1 6 SIGABRT"]],
    "RestartForceExitStatus": [["133"], ["CONFIG SIGHUP"]],
    "RootDirectoryStartOnly": ["yes"],
    "OOMPolicy": ["continue", "kill", "stop"],
    "Type": ["exec", "notify"],
    "NotifyAccess": ["all", "main", "exec"],
    "Restart": ["on-failure", "always", "on-abort"],
    "RestartSec": ["30s", "50", "40s"],
    "RestartSteps": ["3"],
    "RestartMaxDelaySec": ["5min"],
    "StartLimitIntervalSec": ["0", "1min"],
    "StartLimitBurst": ["7"],
    "WatchdogSec": ["30s"],
    "TimeoutStartSec": ["2min"],
    "FileDescriptorStoreMax": ["64"],
    "KillMode": ["mixed", "control-group"],
    "KillSignal": ["SIGINT", "RTMIN+3", "15"],
    "RestartKillSignal": ["SIGHUP", "USR1"],
    "WatchdogSignal": ["SIGQUIT", "SIGIO"],
    "SendSIGHUP": ["yes", "off"],
    "CPUWeight": ["123", "1", "10000"],
    "StartupCPUWeight": ["500"],
    "CPUQuota": ["50%", "12.5%", "200%"],
    "CPUQuotaPeriodSec": ["20ms"],
    "AllowedCPUs": [["0-3,7 9"], ["0,2"]],
    "StartupAllowedCPUs": [["0"]],
    "AllowedMemoryNodes": [["0"], ["0-1"]],
    "StartupAllowedMemoryNodes": [["0"]],
    "MemoryMin": ["1M", "0", "10%"],
    "MemoryLow": ["2M", "12.5%"],
    "MemoryHigh": ["80M", "50%", "infinity"],
    "MemoryMax": ["100M", "1.5G", "infinity"],
    "MemorySwapMax": ["0", "1M", "10%"],
    "MemoryZSwapMax": ["1M", "0"],
    "MemoryZSwapWriteback": ["no"],
    "MemoryPressureWatch": ["on", "off", "skip"],
    "MemoryPressureThresholdSec": ["300ms"],
    "TasksMax": ["77", "infinity", "10%"],
    "IPAccounting": ["yes"],
    "IOWeight": ["55", "10000"],
    "StartupIOWeight": ["66"],
    "IODeviceWeight": [[f"{DISK} 300", "/dev/null 7"]],
    "IOReadBandwidthMax": [[f"{DISK} 10M"], [f"{DISK} infinity"]],
    "IOWriteBandwidthMax": [[f"{DISK} 5K"]],
    "IOReadIOPSMax": [[f"{DISK} 1000"], [f"{DISK} 3K"]],
    "IOWriteIOPSMax": [[f"{DISK} 2000"]],
    "IODeviceLatencyTargetSec": [[f"{DISK} 25ms"]],
    "IPAddressAllow": [["localhost"], ["10.0.0.0/8 192.168.1.7", "fe80::/64"], ["link-local"]],
    "IPAddressDeny": [["any"], ["multicast"], ["2001:db8::1"]],
    "SocketBindAllow": [["80", "ipv4:tcp:1024-2000"], ["ipv6:udp:53"], ["udp"]],
    "SocketBindDeny": [["any"], ["ipv4"], ["tcp:any"]],
    "RestrictNetworkInterfaces": [["lo vec0"], ["~wlan0"], ["lo", "vec0"]],
    "DevicePolicy": ["strict", "closed"],
    "DeviceAllow": [["/dev/null rw", "char-pts"], ["/dev/zero"]],
    "Delegate": ["yes"],
    "ManagedOOMSwap": ["kill"],
    "ManagedOOMMemoryPressure": ["kill"],
    "ManagedOOMMemoryPressureLimit": ["60%", "12.5%"],
    "ManagedOOMPreference": ["avoid", "omit"],
    "ExecSearchPath": [["/opt/a"], ["/opt/a", "/opt/b"]],
    "WorkingDirectory": ["/tmp", "-/not/there", "~"],
    "RootDirectory": ["/srv"],
    "MountAPIVFS": ["yes", "no"],
    "ProtectProc": ["invisible", "noaccess", "ptraceable"],
    "ProcSubset": ["pid"],
    "BindPaths": [["/etc:/opt/etc:norbind", "-/a:/b"], ["/usr"]],
    "BindReadOnlyPaths": [["/etc:/opt/etc /usr:/opt/usr:rbind"]],
    "User": ["nobody", "nobody", "nobody"],
    "Group": ["nogroup"],
    "SupplementaryGroups": [["adm disk", "tty"]],
    "CapabilityBoundingSet": [["CAP_CHOWN cap_kill"], ["~CAP_SYS_ADMIN CAP_BPF"], [""]],
    "AmbientCapabilities": [["CAP_KILL"]],
    "NoNewPrivileges": ["yes", "no"],
    "SecureBits": ["noroot keep-caps-locked"],
    "LimitCPU": ["10", "1min", "5:10"],
    "LimitFSIZE": ["1M", "1K:1G"],
    "LimitDATA": ["1G"],
    "LimitSTACK": ["8M:infinity"],
    "LimitCORE": ["0", "infinity"],
    "LimitRSS": ["1G"],
    "LimitNOFILE": ["1024:4096"],
    "LimitAS": ["4G"],
    "LimitNPROC": ["100"],
    "LimitMEMLOCK": ["64K"],
    "LimitLOCKS": ["10"],
    "LimitSIGPENDING": ["11"],
    "LimitMSGQUEUE": ["800K"],
    "LimitNICE": ["+5", "-5", "20"],
    "LimitRTPRIO": ["9"],
    "LimitRTTIME": ["1000", "1s"],
    "UMask": ["0027", "077"],
    "CoredumpFilter": ["default", "private-anonymous elf-headers"],
    "KeyringMode": ["shared", "inherit", "private"],
    "OOMScoreAdjust": ["500", "-100"],
    "TimerSlackNSec": ["50us", "70", "1ms"],
    "Personality": ["x86-64"],
    "IgnoreSIGPIPE": ["no"],
    "Nice": ["5", "-3"],
    "CPUSchedulingPolicy": ["fifo", "batch", "idle"],
    "CPUSchedulingPriority": ["20"],
    "CPUSchedulingResetOnFork": ["yes"],
    "CPUAffinity": [["0 1-3"], ["0", "2"]],
    "NUMAPolicy": ["bind", "local"],
    "NUMAMask": [["0"]],
    "IOSchedulingClass": ["realtime", "idle", "best-effort"],
    "IOSchedulingPriority": ["2", "7"],
    "ProtectSystem": ["full", "strict", "true"],
    "ProtectHome": ["read-only", "tmpfs", "yes"],
    "RuntimeDirectory": [["lab-a lab-b/c", "lab-d"]],
    "CacheDirectory": [["lab-a"]],
    "LogsDirectory": [["lab-a"]],
    "ConfigurationDirectory": [["lab-a"]],
    "RuntimeDirectoryMode": ["0750"],
    "CacheDirectoryMode": ["0751"],
    "LogsDirectoryMode": ["0701"],
    "ConfigurationDirectoryMode": ["0711"],
    "RuntimeDirectoryPreserve": ["restart", "yes"],
    "ReadWritePaths": [["/srv -/not/there", "+/opt"]],
    "ReadOnlyPaths": [["/srv"]],
    "InaccessiblePaths": [["-/srv/x", "-/srv/y"]],
    "ExecPaths": [["/usr"]],
    "NoExecPaths": [["/"]],
    "TemporaryFileSystem": [["/srv:ro,size=1M", "/opt /mnt:mode=0700"]],
    "PrivateTmp": ["yes"],
    "PrivateDevices": ["yes"],
    "PrivateNetwork": ["yes"],
    "NetworkNamespacePath": [None, "/run/netns/lab"],
    "PrivateIPC": ["yes"],
    "IPCNamespacePath": [None, "/run/ipcns"],
    "PrivateUsers": ["yes"],
    "PrivateMounts": ["yes"],
    "ProtectHostname": ["yes"],
    "ProtectClock": ["yes"],
    "ProtectKernelTunables": ["yes"],
    "ProtectKernelModules": ["yes"],
    "ProtectKernelLogs": ["yes"],
    "ProtectControlGroups": ["yes"],
    "RestrictAddressFamilies": [["AF_INET AF_INET6", "AF_UNIX"], ["~AF_PACKET AF_NETLINK"], ["none"]],
    "RestrictFileSystems": [["ext4 tmpfs"], ["~ramfs"]],
    "RestrictNamespaces": [["user net"], ["~user mnt"], ["yes"]],
    "LockPersonality": ["yes"],
    "MemoryDenyWriteExecute": ["yes"],
    "RestrictRealtime": ["yes"],
    "RestrictSUIDSGID": ["yes"],
    "RemoveIPC": ["yes"],
    "MountFlags": ["slave", "private", "shared"],
    "SystemCallFilter": [["@system-service", "~@mount ptrace"], ["~reboot:EPERM swapon:kill"], ["@basic-io read"]],
    "SystemCallErrorNumber": ["EPERM", "13"],
    "SystemCallArchitectures": [["native"], ["x86-64 x86"]],
    "SystemCallLog": [["@mount"], ["~@clock"]],
    "Environment": [["A=1 \"B=2 3\"", "C=x"], ["PERCENT=%n50%"]],
    "EnvironmentFile": [["-/etc/default/none", "-/etc/default/other"]],
    "PassEnvironment": [["LANG PATH", "TERM"]],
    "UnsetEnvironment": [["LANG B=2"]],
    "StandardInput": ["data", "null", "file:/etc/hostname"],
    "StandardOutput": ["append:/run/lab-out", "journal", "truncate:/run/lab-out"],
    "StandardError": ["null", "inherit", "file:/run/lab-err"],
    "StandardInputText": [None, ["a\\tb c"]],
    "StandardInputData": [["aGVsbG8K", "d29ybGQ="]],
    "LogLevelMax": ["notice", "7"],
    "LogExtraFields": [["LAB_A=1", "LAB_B=x"]],
    "SyslogFacility": ["local3", "mail"],
    "SyslogLevel": ["warning", "debug"],
    "SyslogLevelPrefix": ["no"],
    "LoadCredential": [["a:/etc/hostname", "b:/etc/passwd"]],
    "LoadCredentialEncrypted": [["c:/etc/hostname"]],
}
ROUNDS = 3
# What may end a unit before it is looked at: a unit whose condition does not hold is forgotten at once.
COMMANDS = {"ExecCondition", "ExecStartPre", "ExecStartPost"}
# systemd-run sends these in a way that PID 1 of 252 does not take, or takes for something else than a unit file's.
ONLY_IN_FILES = {("RestrictAddressFamilies", "none"), *(("StandardInputText", text) for text in VALUES["StandardInputText"][1])}
# What an empty line forgets, and what comes after it.
RESETS = {name: [*(values[0] if values[0] is not None else values[1]), "", *(values[0] or values[1])[:1]]
          for name, values in VALUES.items() if isinstance(values[0] or values[1], list)}


def rows():
    """name: (property, first systemd version, whether it is a list), as the table of the sources has it."""
    known = {}
    for row in re.split(r"\bROW(?=_AS\(|\()", TABLE[TABLE.index("directives[] = {"):TABLE.index("const Refusal")])[1:]:
        name, there, since = re.match(r'(?:_AS)?\(\s*"(\w+)",\s*\w+,\s*(?:"(\w+)",\s*)?"[^"]+",\s*(\d+)', row).groups()
        known[name] = (there or name, int(since), bool(re.search(r"\bLIST\b", row)))
    return known


ROWS = rows()


def test_no_row_is_missing():
    assert len(ROWS) == len(re.findall(r"\bROW(?:_AS)?\(", TABLE)) - 2  # but for the two macros
    assert set(VALUES) == set(ROWS)
    assert {name for name, row in ROWS.items() if row[2]} == set(RESETS)


@pytest.fixture(scope="module", params=SUITES)
def host(request, lab):
    """A booted host whose owner allows everything; no control plane."""
    suite = request.param
    disk = None if suite == image.SUITE else lab.keep(f"disk-{suite}", lambda: image.node_disk(lab.node_debs, suite=suite))
    node = lab.node(f"d{SUITES[suite]}", disk=disk).boot()
    node.put("/etc/sluice/policy.conf.d/all.conf", "[Policy]\nAllowDirectives=*\nAllowUsers=nobody\nAllowSandboxNone=yes\nAllowCredentials=*\n")
    node.version = int(re.search(r"\d+", node.run("systemctl --version").text).group())
    assert node.version == SUITES[suite]
    yield node
    node.power_cut()


_attempts = iter(range(2, 1000))


def start(node, pairs, method="StartStreaming", attempt=None, run=None):
    """What agentd asks of agentd-exec; the unit's name, and the words of a refusal."""
    attempt = attempt or f"{next(_attempts):032x}"
    arguments = ["busctl", "call", "--", "io.sluice.Exec1", "/io/sluice/Exec1", "io.sluice.Exec1", method, "sussssta(ss)",
                 attempt, "1", run or attempt, "lab", "directives", "task", "0", str(len(pairs)), *(word for pair in pairs for word in pair)]
    done = node.run(shlex.join(arguments) + " 2>&1")
    return f"sluice-{attempt}.service", done.text if done.rc else ""


def run_reference(node, name, pairs):
    """systemd-run with the same text. The command is an argument of its own."""
    arguments = ["systemd-run", "--quiet", "--no-block", f"--unit={name}", "--remain-after-exit",
                 *(f"-p{key}={value}" for key, value in pairs if key not in ("ExecStart", "SandboxProfile")), "/usr/bin/sleep", "5"]
    node.run(shlex.join(arguments), check=True)
    return f"{name}.service"


def properties(node, unit):
    """All that D-Bus says of it."""
    path = "/org/freedesktop/systemd1/unit/" + "".join(c if c.isalnum() and c.isascii() else f"_{ord(c):02x}" for c in unit)
    known = {}
    for interface in ("Unit", "Service"):
        got = node.run(f"busctl --json=short call org.freedesktop.systemd1 {path} org.freedesktop.DBus.Properties GetAll s "
                       f"org.freedesktop.systemd1.{interface}", check=True).text
        known.update({name: value["data"] for name, value in json.loads(got)["data"][0].items()})
    return known


def said_of(name, known):
    """What D-Bus has of one directive: without what Sluice adds, and without what happened to the commands."""
    there = ROWS[name][0]
    if there.startswith("Exec") and f"{there}Ex" in known:  # ":" is told as twice "$" by us
        return [(path, [arg.replace("$", "$$") if "no-env-expand" in flags else arg for arg in argv], "ignore-failure" in flags)
                for path, argv, flags, *_ in known[f"{there}Ex"]]
    if name == "Environment":
        return [text for text in known[there] if not text.startswith("SLUICE_")]
    if name == "LogExtraFields":
        return [field for field in known[there] if not bytes(field).startswith(b"SLUICE_")]
    if name.startswith(("IPAddress", "LoadCredential")):  # sets, which PID 1 tells in any order
        return sorted(known[there])
    if name.startswith("Limit"):
        return known[there], known[f"{there}Soft"]
    return known[there]


def pairs_of(number, version, commands=False):
    """The lines of a round: of the commands around the command, or of all others."""
    pairs = [("SandboxProfile", "none")]
    for name, values in VALUES.items():
        value = values[number] if number < len(values) else None
        if value is not None and ROWS[name][1] <= version and (name in COMMANDS) <= commands and (not commands or name.startswith("Exec")):
            pairs += [(name, one) for one in (value if isinstance(value, list) else [value])]
    return pairs


def names_of(pairs):
    return sorted({name for name, _ in pairs} - {"SandboxProfile"})


def differences(mine, other, names):
    return {name: (said_of(name, mine), said_of(name, other)) for name in names if said_of(name, mine) != said_of(name, other)}


@pytest.mark.parametrize("number", range(ROUNDS))
def test_it_reads_back_as_systemd_runs(host, number):
    pairs = [pair for pair in pairs_of(number, host.version) if pair not in ONLY_IN_FILES]
    unit, refusal = start(host, pairs)
    assert refusal == ""
    reference = run_reference(host, f"reference-{number}", pairs)
    names = [name for name in names_of(pairs) if name != "ExecStart"]
    assert differences(properties(host, unit), properties(host, reference), names) == {}


def test_commands_read_back_as_systemd_runs(host):
    for number in range(ROUNDS):
        pairs = pairs_of(number, host.version, commands=True)
        unit, refusal = start(host, pairs)
        assert refusal == ""
        reference = run_reference(host, f"commands-{number}", pairs)
        names = [name for name in names_of(pairs) if name != "ExecStart"]
        assert differences(properties(host, unit), properties(host, reference), names) == {}


def test_commands_are_the_same_after_a_reload(host):
    """PID 1 reads its units again, with escapes that are not those which it wrote; and then it starts one anew."""
    script = 'y=1; for i in a b; do echo "$$i ${SEMI} $$y 5%% \\\\ %%n"; done >/var/tmp/said; exec sleep 600'
    pairs = [("SandboxProfile", "none"), ("User", "nobody"), ("Environment", "SEMI=x"), ("Restart", "always"), ("RestartSec", "0"),
             ("ExecStartPre", "-/bin/sh -c 'exit $$$$; :' ;x"), ("ExecStartPre", ":/bin/echo $A ;"), ("ExecStart", f"/bin/sh -c '{script}'")]
    unit, refusal = start(host, pairs)
    assert refusal == ""
    for _ in range(2):
        wait_until("it to speak", lambda: host.run("cat /var/tmp/said").stdout == "".join(f"{i} x 1 5%% \\ %%n\n" for i in "ab"), 30)
        before = {name: said_of(name, properties(host, unit)) for name in ("ExecStart", "ExecStartPre")}
        host.run("rm /var/tmp/said; systemctl daemon-reload", check=True)
        assert {name: said_of(name, properties(host, unit)) for name in before} == before
        host.run(f"systemctl kill --signal=KILL {unit}", check=True)
    wait_until("it to speak", lambda: host.run("cat /var/tmp/said").stdout, 30)
    call = "busctl call io.sluice.Exec1 /io/sluice/Exec1 io.sluice.Exec1 Release s "
    host.run(call + unit.removeprefix("sluice-").removesuffix(".service"), check=True)
    wait_until("nothing to be left", lambda: not host.run(f"ls -d /run/systemd/transient/{unit}*").stdout, 30)


# What is never twice the same, or tells what the processes did.
VOLATILE = re.compile(r"Timestamp|^InvocationID$|PID$|^ControlGroupId$|^CPUUsageNSec$|^Memory(Current|Peak|Available|Swap)|^EffectiveMemory|Tasks(Current)|^IO(Read|Write)|^IP(In|E)gress")


def test_render_says_what_is_started(host):
    """The unit of a printed systemd-run command has the properties of the one that agentd-exec starts; all of them."""
    pairs = [("ExecStart", ':/usr/bin/dash -c "sleep 60; echo $A"'), ("Environment", 'A=1 "B=it\'s 3"'), ("MemoryMax", "100M"), ("CPUQuota", "50%"),
             ("SystemCallFilter", "~@swap"), ("Nice", "3"), ("LoadCredential", "a:/etc/hostname"), ("ReadWritePaths", "/srv -/not/there"),
             ("KillSignal", "SIGINT"), ("SuccessExitStatus", "3 TEMPFAIL"), ("RuntimeMaxSec", "2h 30min"), ("LogExtraFields", "LAB_A=1"), ("TasksMax", "50")]
    host.put("/srv/directives.pipe", "[Pipe]\n[Parameter note]\n[Task task]\n" + "".join(f"{name}={value}\n" for name, value in pairs))
    command = host.run("sluicectl --project=lab pipe render /srv/directives.pipe --param 'note=a \"b\" $c'", check=True).text
    unit, refusal = start(host, [(n, v[1:].replace("$", "$$") if n == "ExecStart" else v) for n, v in pairs]
                          + [("Parameter", 'note=a "b" $c')], "Start", attempt=f"{1:032x}", run=f"{0:032x}")
    assert refusal == ""
    host.run(f"until systemctl -q is-active {unit}; do sleep 0.1; done", 30, check=True)
    mine = properties(host, unit)
    host.run(f"systemctl stop {unit}; systemctl reset-failed {unit}; true", check=True)
    host.run(command, check=True)
    other = properties(host, unit)
    host.run(f"systemctl stop {unit}", check=True)
    names = sorted(name for name in set(mine) | set(other) if not VOLATILE.search(name) and not name.startswith("Exec"))
    assert len(names) > 200
    ordered = [{name: sorted(value) if isinstance(value, list) and all(isinstance(v, str) for v in value) and name != "Environment" else value
                for name, value in known.items()} for known in (mine, other)]
    assert {name: (ordered[0].get(name), ordered[1].get(name)) for name in names if ordered[0].get(name) != ordered[1].get(name)} == {}
    assert [c[:3] for c in mine["ExecStart"]] == [c[:3] for c in other["ExecStart"]]


def write_file(node, name, pairs):
    """A unit file with the same lines; where there are specifiers, a % is written twice."""
    lines = {True: ["[Unit]"], False: ["[Service]"]}
    for key, value in pairs:
        lines[key.startswith("StartLimit")].append(f"{key}={value.replace('%', '%%') if key in ('Environment', 'ExecStart') else value}")
    node.put(f"/run/systemd/system/{name}.service", "\n".join(lines[True] + lines[False] + [""]))
    return f"{name}.service"


def assert_same_as_files(node, pairs_by_name):
    """Each list of lines makes the same unit here as in a file."""
    files = {name: write_file(node, name, [pair for pair in pairs if pair[0] != "SandboxProfile"]) for name, pairs in pairs_by_name.items()}
    node.run("systemctl daemon-reload", check=True)
    for name, pairs in pairs_by_name.items():
        unit, refusal = start(node, pairs)
        assert refusal == ""
        names = [n for n in names_of(pairs) if n != "WatchdogSec"]  # D-Bus has none of a unit that was not started
        assert differences(properties(node, unit), properties(node, files[name]), names) == {}


def test_lists_add_up_and_forget_as_in_a_unit_file(host):
    twice = {"AllowedCPUs": ["0", "2-3"], "CPUAffinity": ["0", "2-3"], "CapabilityBoundingSet": ["CAP_CHOWN CAP_KILL", "~CAP_KILL", "CAP_BPF"],
             "AmbientCapabilities": ["CAP_KILL", "CAP_CHOWN"], "RestrictNamespaces": ["user", "net", "~user"],
             "StandardInputText": ["a", "b\\n"], "LogExtraFields": ["A=1 \"B=2 3\"", "C=\\x41"], "SystemCallFilter": ["@system-service", "~@mount", "mount"]}
    resets = {name: lines for name, lines in RESETS.items() if ROWS[name][1] <= host.version and name != "StandardInputText"}
    plain = [("SandboxProfile", "none"), ("ExecStart", "/usr/bin/sleep 5"), ("User", "nobody")]
    assert_same_as_files(host, {
        "commands": plain + [(name, line) for name, lines in resets.items() if name in COMMANDS for line in lines],
        "resets": plain + [(name, line) for name, lines in resets.items() if name not in COMMANDS for line in lines],
        "twice": plain + [(name, line) for name, lines in twice.items() for line in lines]})


def test_everything_reads_back_as_a_unit_files(host):
    assert_same_as_files(host, {f"round-{number}-{commands}": pairs_of(number, host.version, commands)
                                for number in range(ROUNDS) for commands in (False, True)})


def test_what_is_too_young_is_refused_with_its_version(host):
    young = {name: row[1] for name, row in ROWS.items() if row[1] > host.version}
    assert bool(young) == (host.version < 256)
    for name, since in young.items():
        value = VALUES[name][0]
        _, refusal = start(host, [("ExecStart", "/usr/bin/true"), (name, value[0] if isinstance(value, list) else value)])
        assert f"{name}= needs systemd {since}, and this host has {host.version}." in refusal


def test_the_sandbox_may_be_tightened_and_is_kept(host):
    host.put("/etc/sluice/policy.conf.d/all.conf", "[Policy]\n")
    tighter = [("ExecStart", "/usr/bin/sleep 5"), ("SandboxProfile", "strict"), ("SystemCallFilter", "~@timer"), ("PrivateNetwork", "yes"),
               ("ProtectSystem", "strict"), ("RestrictAddressFamilies", "~AF_INET AF_INET6"), ("RestrictNamespaces", "~user"),
               ("ReadOnlyPaths", "/tmp"), ("Nice", "3"), ("CapabilityBoundingSet", "~CAP_KILL")]
    unit, refusal = start(host, tighter, "Start")
    assert refusal == ""
    known = properties(host, unit)
    assert known["RestrictNamespaces"] == 0 and known["CapabilityBoundingSet"] == 0 and known["PrivateNetwork"]
    assert known["RestrictAddressFamilies"] == [True, ["AF_UNIX"]]
    assert known["SystemCallFilter"][0] and "timer_create" not in known["SystemCallFilter"][1] and "read" in known["SystemCallFilter"][1]
    for name, value in (("ProtectSystem", "full"), ("SystemCallFilter", "@mount"), ("BindPaths", "/root"), ("DeviceAllow", "/dev/sda"),
                        ("EnvironmentFile", "/etc/shadow"), ("Nice", "-1"), ("StandardOutput", "append:/etc/passwd")):
        _, refusal = start(host, [("ExecStart", "/usr/bin/true"), ("SandboxProfile", "strict"), (name, value)], "Start")
        assert f"policy does not allow {name}={value}" in refusal and "AllowDirectives=" in refusal


# Through the whole chain: the pipe, the control plane, agentd and agentd-exec.

def test_a_pipe_brings_them_to_the_host(agent):
    run = agent.shell("sleep 30", Nice="7", LimitNOFILE="100:200", IPAddressDeny="any", SuccessExitStatus=["3", "TEMPFAIL"],
                      PrivateNetwork="yes", SystemCallFilter="~@swap", Environment=["A=1", "", "B=50%"]).wait_running()
    known = properties(agent.node, run.attempt()["unit"])
    assert (known["Nice"], known["LimitNOFILE"], known["LimitNOFILESoft"], known["PrivateNetwork"]) == (7, 200, 100, True)
    assert known["SuccessExitStatus"][0] == [3, 75] and len(known["IPAddressDeny"]) == 2
    assert said_of("Environment", known) == ["B=50%"]
    run.cancel().wait_ended()


def test_a_status_that_counts_as_success_does(agent):
    agent.run(["/bin/sh", "-c", "exit 3"], SuccessExitStatus="3").wait_succeeded()


def test_a_condition_that_does_not_hold_is_the_outcome(agent):
    run = agent.run(["/bin/true"], ExecCondition="/bin/false").wait_succeeded()
    assert run.attempt()["outcome"] == "exec-condition"
    assert [t["state"] for t in run.show()["tasks"]] == ["skipped"]
    agent.run(["/bin/true"], ExecCondition=["/bin/true"], ExecStartPre="/bin/true", ExecStartPost="/bin/true").wait_succeeded()


@pytest.mark.parametrize("name, value, words", [
    ("BindPaths", "/root", "AllowDirectives="), ("ProtectHome", "no", "sandbox profile has more"), ("Nice", "-1", "AllowDirectives="),
    ("ExecStartPre", "/nowhere/else", None), ("MemoryZSwapMax", "1M", "needs systemd 253, and this host has 252")])
def test_the_refusal_is_the_outcome(agent, name, value, words):
    path = "/etc/sluice/policy.conf.d/directives.conf"
    agent.node.put(path, "[Policy]\nAllowExecutables=/bin/true /usr/bin/true\n")
    try:
        attempt = agent.run(["/bin/true"], **{name: value}).wait_failed().attempt()
    finally:
        agent.node.run(f"rm {path}")
    assert attempt["outcome"] == "refused" and (words or "AllowExecutables=") in attempt["reason"]
