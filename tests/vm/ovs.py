"""Open vSwitch with DPDK: a database and a daemon of our own, with one bridge that learns."""

import os
import subprocess
import time

from machine import Failure, die_with_parent

DAEMON = "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk"
SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"

# Without hugepages, as Pollux is here. Open vSwitch adds --in-memory, which excludes --no-huge, unless it
# sees --legacy-mem. A pool of buffers for an MTU of 9000 takes 160 MiB at least.
EAL = "--no-huge --legacy-mem -m 512 --no-pci --no-telemetry"

TOOL_SECONDS = 30


class OpenVSwitch:
    """It connects to `sockets`, on which QEMU listens, with the means to kill and start it again."""

    def __init__(self, folder, sockets, cpu=1, mtu=9000):
        self.folder, self.sockets, self.cpu, self.mtu = folder, sockets, cpu, mtu
        self.ports = [f"vm{number}" for number, _ in enumerate(sockets, 1)]
        self.remote = f"unix:{folder}/db.sock"
        names = ["OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR", "RUNTIME_DIRECTORY"]
        self.environment = os.environ | dict.fromkeys(names, str(folder))
        self.starts = 0
        self.database = self.process = None

    def start(self):
        """Starts the daemon, the first time with its database, and returns when it has done what the
        database says; how many seconds that took."""
        if not self.database:
            self._create()
        self.starts += 1
        begin = time.monotonic()
        # The bridge is an interface of its namespace too, and goes with it.
        command = ["unshare", "--net", "--", DAEMON, self.remote, f"--unixctl={self.folder}/daemon.ctl",
                   f"--pidfile={self.folder}/daemon.pid", "-vconsole:info"]
        self.process = self._spawn(command, f"vswitchd.{self.starts}.log")
        # The tool returns when the daemon has caught up with the change.
        self._vsctl("set", "Open_vSwitch", ".", f"external_ids:starts={self.starts}")
        took = time.monotonic() - begin
        for port in self.ports:
            error = self._vsctl("get", "interface", port, "error").strip()
            if error != "[]":
                raise Failure(f"Open vSwitch's port {port}: {error}")
        return took

    def kill(self):
        """As a crash of the daemon would; the database goes on."""
        self.process.kill()
        self.process.wait()

    def close(self):
        """Ends both, however they are."""
        for process in (self.process, self.database):
            if process and process.poll() is None:
                process.kill()
                process.wait()

    def _create(self):
        """The database, with the configuration that the daemon will find."""
        self.folder.mkdir()
        file = self.folder / "conf.db"
        self._tool("ovsdb-tool", "create", str(file), SCHEMA)
        command = ["ovsdb-server", str(file), f"--remote=p{self.remote}", f"--unixctl={self.folder}/db.ctl",
                   "-vconsole:info"]
        self.database = self._spawn(command, "ovsdb.log")
        arguments = ["--no-wait", "init", "--", "set", "Open_vSwitch", ".", "other_config:dpdk-init=true",
                     f"other_config:pmd-cpu-mask={1 << self.cpu:#x}", f'other_config:dpdk-extra="{EAL}"',
                     "--", "add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev"]
        for port, socket in zip(self.ports, self.sockets):
            arguments += ["--", "add-port", "br0", port, "--", "set", "interface", port,
                          "type=dpdkvhostuserclient", f"options:vhost-server-path={socket}",
                          f"mtu_request={self.mtu}"]
        self._vsctl(*arguments)

    def _spawn(self, command, log):
        with open(self.folder / log, "wb") as out:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                    env=self.environment, preexec_fn=die_with_parent)

    def _vsctl(self, *arguments):
        """The tool tries again until the database listens."""
        return self._tool("ovs-vsctl", "--retry", f"--timeout={TOOL_SECONDS}", f"--db={self.remote}", *arguments)

    def _tool(self, *command):
        said = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        if said.returncode != 0:
            raise Failure(f"{' '.join(command)}: {said.stderr.strip()}; logs are in {self.folder}")
        return said.stdout
