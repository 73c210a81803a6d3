"""Makes the disk of a node in two layers, each cached by a hash of what it is made from: Debian, and our packages on top.

    base-HASH/      the root of a minimal Debian with what the packages depend on
    node-HASH/      the same with the packages installed (nspawn boots a copy of it)
    node-HASH.ext4  the same as a file system (user-mode Linux boots it copy-on-write)
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
from pathlib import Path

from .shell import LabError, run

HERE = Path(__file__).parent
SUITE = "bookworm"
PACKAGES = "systemd systemd-sysv dbus udev iproute2 procps sqlite3 mawk adduser libpam-systemd libjson-c5 libzstd1".split()
# What has another name in each suite: the oldest and the newest systemd that the directives are tested on, 252 and 257.
OF_SUITE = {"bookworm": ["libcurl3-gnutls", "libgnutls30"], "trixie": ["libcurl3t64-gnutls", "libgnutls30t64"]}
# What a whole site on one host needs besides: controld's libraries, PostgreSQL, and the quickstart's Python.
WHOLE_SITE = "postgresql-15 libpq5 libmicrohttpd12 python3 curl ca-certificates".split()
DPKG_OPTIONS = [f"--dpkgopt=path-exclude=/usr/share/{d}/*" for d in ("doc", "man", "locale")]
# Nothing in a node is ever updated or looked at on a screen, and each unit that starts costs a tenth of a second.
MASKED = ("apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer e2scrub_reap.service "
          "getty@tty1.service console-getty.service getty.target systemd-pstore.service systemd-networkd.service "
          "systemd-network-generator.service systemd-networkd.socket systemd-resolved.service systemd-timesyncd.service "
          "systemd-udev-trigger.service systemd-udevd.service systemd-udevd-kernel.socket systemd-udevd-control.socket "
          "systemd-hwdb-update.service systemd-modules-load.service systemd-firstboot.service "
          "systemd-machine-id-commit.service systemd-remount-fs.service systemd-random-seed.service "
          "systemd-tmpfiles-clean.timer systemd-update-utmp.service systemd-update-utmp-runlevel.service "
          "systemd-boot-update.service systemd-ask-password-console.path systemd-ask-password-wall.path "
          "modprobe@configfs.service modprobe@dm_mod.service modprobe@drm.service modprobe@fuse.service modprobe@loop.service "
          "modprobe@efi_pstore.service dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount sys-kernel-tracing.mount "
          "sys-fs-fuse-connections.mount sys-kernel-config.mount proc-sys-fs-binfmt_misc.automount").split()

PROGRAMS = ("node-shell", "effects")
EFFECTS = ("lab-effects.socket", "lab-effects.service")  # not enabled: for the storm
# Delay and loss in a node, and a file system that can be frozen: the build machine's kernel need not have them.
MODULES = ("net/sched/sch_netem", "net/sched/sch_ingress", "net/sched/cls_matchall", "net/sched/act_mirred", "drivers/net/ifb", "drivers/block/loop")


def cache_directory():
    return Path(os.environ.get("SLUICE_CACHE", "/var/cache/sluice-lab"))


def _digest(*parts):
    h = hashlib.sha256()
    for part in parts:
        h.update(part if isinstance(part, bytes) else str(part).encode())
        h.update(b"\0")
    return h.hexdigest()[:16]


@contextlib.contextmanager
def _cache():
    """The cache's directory, while nobody else changes what is in it."""
    directory = cache_directory()
    directory.mkdir(parents=True, exist_ok=True)
    with open(directory / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield directory


class _Layer:
    """Builds a cache entry under a lock, in a temporary name, so that an interrupted build is never used."""

    def __init__(self, path):
        self.path = path

    def make(self, build):
        with _cache():
            if not self.path.exists():
                unfinished = self.path.with_name(f"unfinished-{self.path.name}")
                self._remove(unfinished)
                build(unfinished)
                unfinished.rename(self.path)
            # Not the image's own time: a copy-on-write file is bound to that.
            self.path.with_name(f"{self.path.stem}.used").touch()
        return self.path

    @staticmethod
    def _remove(path):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def base_root(extra=(), suite=SUITE):
    """The root of a Debian with PACKAGES and the extra ones."""
    packages = [*PACKAGES, *OF_SUITE[suite], *extra]

    def build(root):
        run("mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(packages)}",
            "--aptopt=Acquire::Languages \"none\"", *DPKG_OPTIONS, suite, root, timeout=900)

    return _Layer(cache_directory() / f"base-{_digest(suite, *packages, *DPKG_OPTIONS)}").make(build)


def _install(root, debs):
    if not debs:
        return
    incoming = root / "incoming"
    incoming.mkdir()
    for deb in debs:
        shutil.copy(deb, incoming)
    done = run("chroot", root, "sh", "-c", "dpkg -i /incoming/*.deb", check=False, env={"DEBIAN_FRONTEND": "noninteractive"})
    if done.rc != 0:
        raise LabError(f"The packages do not install into the node image:\n{done.stdout}{done.stderr}")
    shutil.rmtree(incoming)


def _equip(root):
    """What makes it a lab node: the command channel, an address from the kernel command line, a journal on disk."""
    for program in PROGRAMS:
        run("gcc", "-O2", "-static", "-o", root / "usr/local/sbin" / program, HERE / f"{program}.c")
    for module in MODULES:
        for found in sorted(Path("/usr/lib/uml/modules").glob(f"*/kernel/{module}.ko")):
            shutil.copy(found, root / "usr/local/lib")
    for unit in EFFECTS:
        shutil.copy(HERE / unit, root / "etc/systemd/system" / unit)
    units = root / "etc/systemd/system"
    for unit in ("lab-shell.service", "lab-network.service"):
        shutil.copy(HERE / unit, units / unit)
        wants = units / "multi-user.target.wants"
        wants.mkdir(exist_ok=True)
        (wants / unit).symlink_to(f"../{unit}")
    for unit in MASKED:
        link = units / unit
        link.unlink(missing_ok=True)
        link.symlink_to("/dev/null")
    (root / "var/log/journal").mkdir(exist_ok=True)
    (root / "etc/fstab").write_text("")
    (root / "etc/machine-id").write_text("5" * 32 + "\n")  # not a first boot; each node gets its own
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    shutil.rmtree(root / "var/lib/apt/lists", ignore_errors=True)


def node_root(debs, extra=(), suite=SUITE):
    """The root directory of a node with these package files, and these packages of Debian's, installed."""
    base = base_root(extra, suite)
    parts = [base.name, *(Path(d).read_bytes() for d in sorted(debs)), *MASKED]
    parts += [p.read_bytes() for p in [*sorted(HERE.glob("lab-*")), *(HERE / f"{p}.c" for p in PROGRAMS), HERE / "image.py"]]

    def build(root):
        run("cp", "-a", "--reflink=auto", base, root)
        _install(root, debs)
        _equip(root)

    return _Layer(cache_directory() / f"node-{_digest(*parts)}").make(build)


def node_disk(debs, extra=(), suite=SUITE):
    """A file system image with these package files installed; nodes boot it copy-on-write."""
    root = node_root(debs, extra, suite)

    def build(path):
        run("truncate", "-s", "2G", path)
        run("mke2fs", "-q", "-t", "ext4", "-J", "size=16", "-d", root, path)

    return _Layer(root.with_suffix(".ext4")).make(build)


def uml_ptrace():
    """A library to preload into user-mode Linux; its source says why."""
    source = HERE / "uml-ptrace.c"

    def build(path):
        run("gcc", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", path, source)

    return _Layer(cache_directory() / f"uml-ptrace-{_digest(source.read_bytes())}.so").make(build)


def prune(keep=4):
    """Removes all but the most recently used images. Each lab has its own link to its disk."""
    with _cache() as directory:
        used = sorted(directory.glob("node-*.used"), key=lambda p: p.stat().st_mtime, reverse=True)
        for mark in used[keep:]:
            _Layer._remove(mark.with_suffix(".ext4"))
            _Layer._remove(mark.with_suffix(""))
            mark.unlink()
