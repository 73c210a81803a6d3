"""The lab's network: one namespace with a bridge, where the control plane is, and a tap for each node.

Nothing in it has a route to anywhere else. 10.77.0.1 is the bridge (and controld), node number N is 10.77.0.(10+N).
"""

import concurrent.futures
import ctypes
import os
import ssl
import urllib.error
import urllib.request

from .shell import LabError, run

CLONE_NEWNET = 0x40000000
GATEWAY = "10.77.0.1"
PREFIX = 24
NOBODY = "02:00:00:00:00:01"


class Network:
    def __init__(self, namespace):
        self.namespace = namespace

    def inside(self, *argv):
        """The command line that runs argv in the namespace."""
        return ["nsenter", f"--net=/run/netns/{self.namespace}", "--", *argv]

    def ip(self, *argv, check=True):
        return run("ip", "-netns", self.namespace, *argv, check=check)

    def create(self):
        run("ip", "netns", "del", self.namespace, check=False)  # one that was made by half
        run("ip", "netns", "add", self.namespace)
        self.ip("link", "set", "lo", "up")
        self.ip("link", "add", "br0", "type", "bridge")
        self.ip("addr", "add", f"{GATEWAY}/{PREFIX}", "dev", "br0")
        self.ip("link", "set", "br0", "up")
        # Without this, packets reach the nodes with checksums that nobody finished, and connections hang.
        run(*self.inside("ethtool", "-K", "br0", "tx", "off"))

    @staticmethod
    def address(number):
        return f"10.77.0.{10 + number}"

    def add_tap(self, number):
        """Makes the tap of a node if it is not there yet, and returns its name."""
        name = f"tap{number}"
        if self.ip("link", "show", name, check=False).rc != 0:
            self.ip("tuntap", "add", name, "mode", "tap")
            self.ip("link", "set", name, "master", "br0")
        self.ip("link", "set", name, "up")
        return name

    def cut(self, number):
        """Separates a node from everything else, silently. Its tap stays up: a node whose tap is down spins in its driver."""
        self._set_port(number, "disabled")

    def mend(self, number):
        self._set_port(number, "forwarding")

    def _set_port(self, number, state):
        run(*self.inside("bridge", "link", "set", "dev", f"tap{number}", "state", {"disabled": "0", "forwarding": "3"}[state]))

    def deafen(self, number, deaf=True):
        """What is sent to a node gets lost, and what it sends arrives: the bridge has a wrong idea of where it is."""
        if deaf:
            self.ip("neigh", "replace", self.address(number), "lladdr", NOBODY, "dev", "br0", "nud", "permanent")
        else:
            self.ip("neigh", "del", self.address(number), "dev", "br0", check=False)

    def https_status(self, url, ca_file, timeout=5):
        """The status of a GET from inside the namespace with the certificate verified, or None when there is no answer."""
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            return pool.submit(self._get, url, ca_file, timeout).result()

    def _get(self, url, ca_file, timeout):
        # setns() moves only the calling thread, and the pool's thread ends with the call.
        with open(f"/run/netns/{self.namespace}", "rb") as namespace:
            if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET) != 0:
                raise LabError(f"Cannot enter {self.namespace}: {os.strerror(ctypes.get_errno())}")
        try:
            context = ssl.create_default_context(cafile=ca_file)
            handlers = (urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
            with urllib.request.build_opener(*handlers).open(url, timeout=timeout) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return None
