# SPDX-License-Identifier: BSD-2-Clause
"""The three jobs of docs/examples, with real servers in the town that test_compare.py draws: web (also TLS), ssh, DNS.

The files run as they are, but for the addresses for documentation, which can not come in from outside.
"""

import os
import socket
import subprocess

from lab import ROOT, Sally, grown, wait_for
from servers import Servers
from test_compare import GW, GW6, JOHN6, LAN, OFFICE, OFFICE6, SITE, SITE6, STRANGER, STRANGER6, Town, WEB6, real
from talk import FAMILY

__all__ = ["GW", "GW6", "JOHN6", "LAN", "OFFICE", "OFFICE6", "SITE", "SITE6", "STRANGER", "STRANGER6", "WEB6", "Job",
           "example", "real"]

NGINX = """
daemon off; master_process off; pid {dir}/nginx.pid; error_log {dir}/nginx.err;
events {{ worker_connections 64; }}
http {{
	access_log off; default_type text/plain;
	client_body_temp_path {dir}; proxy_temp_path {dir}; fastcgi_temp_path {dir}; uwsgi_temp_path {dir};
	scgi_temp_path {dir};
	server {{
		listen 80; listen [::]:80; listen 443 ssl; listen [::]:443 ssl;
		ssl_certificate {dir}/cert.pem; ssl_certificate_key {dir}/key.pem;
		return 200 "{role} sees $remote_addr";
	}}
}}
"""


def example(kind):
    """docs/examples/KIND.conf"""
    with open(os.path.join(ROOT, "docs", "examples", f"{kind}.conf"), encoding="utf-8") as file:
        return file.read()


def url(address, scheme="http"):
    return f"{scheme}://[{address}]/" if ":" in address else f"{scheme}://{address}/"


class Job(Town):
    """kind: host, home or office."""

    def __init__(self, kind, directory):
        self.dir = directory
        self.ssh = {}
        super().__init__(kind)
        self.sally = Sally(self.fw)
        try:
            self._serve_all()
        except BaseException:
            self.close()
            raise

    def _listen(self, ns, ports):
        """Real servers come later."""

    def _serve_all(self):
        self._web(self.outside)
        outside = Servers(self.outside, self.dir / "dns")
        outside.dns()
        for ns in [self.fw] + ([] if self.kind == "host" else [self.web]):
            self._web(ns)
            self.ssh[ns.role] = Servers(ns, self.dir / f"{ns.role}-ssh")
            self.ssh[ns.role].ssh()

    def _web(self, ns):
        where = self.dir / ns.role
        where.mkdir()
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-days", "2", "-subj", "/CN=town", "-keyout", where / "key.pem", "-out", where / "cert.pem"],
                       check=True, capture_output=True, timeout=20)
        (where / "nginx.conf").write_text(NGINX.format(dir=where, role=ns.role))
        process = ns.start("nginx", "-e", where / "nginx.err", "-p", where, "-c", where / "nginx.conf")

        def answers():
            assert process.poll() is None, (where / "nginx.err").read_text()
            with ns.socket(socket.AF_INET, socket.SOCK_STREAM, timeout=2) as sock:
                return sock.connect_ex(("127.0.0.1", 443)) == 0

        wait_for(f"the web server of {ns.role}", answers)

    def guard(self, mode):
        """`sally up` with the example."""
        path = self.dir / "sally.conf"
        path.write_text(real(example(self.kind)))
        return self.sally.up("--mode", mode, "--flows", 100000, "--config", path).stdout

    def fetch(self, ns, address, scheme="http", source=None):
        """What the web server there says: who it is and whom it sees."""
        where = ["--interface", source] if source else []
        done = ns.run("curl", "-gksS", "-m", 10, *where, url(address, scheme), check=False)
        return done.stdout or done.stderr

    def login(self, ns, server, address, source=None):
        """What `ssh` prints there."""
        words = self.ssh[server].ssh_command(address, "echo", "logged", "in")
        where = ["-b", source] if source else []
        return ns.run(words[0], *where, *words[1:], check=False).stdout.strip()

    def refused(self, ns, address, port, source=None, kind=socket.SOCK_STREAM, reason="uninvited"):
        """Whether one packet that begins a conversation is stopped, for this very reason."""
        before = self.sally.drops()
        with ns.socket(FAMILY[6 if ":" in address else 4], kind) as sock:
            if source:
                sock.bind((source, 0))
            sock.setblocking(False)
            sock.connect_ex((address, port))
            if kind == socket.SOCK_DGRAM:
                sock.send(b"let me in")
            return wait_for(f"a refusal of {address} port {port}: {reason}",
                            lambda: grown(before, self.sally.drops()).get(reason), 10, 0.02)
