"""Pollux as the VMs' host runs it, and Open vSwitch in its place."""

import json
import signal
import subprocess
import threading
import time

from machine import Failure, Inbox, die_with_parent


class Switch:
    """`pollux run`, with the means to kill and start it again."""

    def __init__(self, binary, folder, ports, cpu=1):
        self.binary, self.folder = binary, folder
        self.file = folder / "pollux.toml"
        self.control = folder / "control.sock"
        self.file.write_text(f"[switch]\ncores = [{cpu}]\nhugepages = false\n\n[fdb]\ncapacity = 1024\n\n{ports}")
        self.starts = 0
        self.process = None

    def start(self):
        """Starts it, and returns when it is ready; how many seconds that took."""
        self.starts += 1
        begin = time.monotonic()
        log = open(self.folder / f"pollux.{self.starts}.log", "wb")
        command = [self.binary, "run", "--config", str(self.file), "--control", str(self.control)]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
                                        preexec_fn=die_with_parent)
        lines = Inbox()

        def read():
            for line in self.process.stdout:
                log.write(line)
                log.flush()
                lines.put(line.decode(errors="replace"))
            lines.close()

        threading.Thread(target=read, daemon=True).start()
        if not lines.wait(lambda line: line.startswith("ready after"), timeout=30):
            raise Failure(f"the switch isn't ready: {''.join(lines.items)}")
        return time.monotonic() - begin

    def kill(self):
        """As a crash would."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        """As systemd would; every frame must be accounted for."""
        self.process.send_signal(signal.SIGTERM)
        if self.process.wait(timeout=30) != 0:
            raise Failure(f"the switch ended with status {self.process.returncode}")

    def close(self):
        """Ends it, however it is."""
        if self.process and self.process.poll() is None:
            self.kill()

    def ask(self, *command):
        """What the console answers."""
        said = subprocess.run([self.binary, "exec", "--control", str(self.control), "--json", *command],
                              capture_output=True, text=True, check=False)
        if said.returncode != 0:
            raise Failure(f"exec {' '.join(command)}: {said.stderr}")
        return json.loads(said.stdout)

    def received(self, port):
        """Frames that came from a VM's port."""
        return self.ask("show", "vhost", port)["vms"][0]["network"]["tx_packets"]

    def features(self, port):
        """What a VM negotiated. One that has just come back is heard of a moment after its first frames."""
        for _ in range(300):
            if features := self.ask("show", "vhost", port)["vms"][0]["vhost"]["features"]:
                return features
            time.sleep(0.1)
        raise Failure(f"{port} has no VM within 30 s")

    def change(self, old, new):
        """Changes the file, once, and has it applied."""
        text = self.file.read_text()
        if old not in text:
            raise Failure(f"the file has no `{old}`")
        self.file.write_text(text.replace(old, new, 1))
        self.ask("config", "reload")
