# SPDX-License-Identifier: BSD-2-Clause
"""Real servers in a namespace: web, ssh, DNS, FTP, iperf3, and a UDP service that behaves as QUIC does."""

import hashlib
import os
import socket
import subprocess
import sys

from lab import wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
BIG_BYTES = 8 << 20

NGINX = """
daemon off; master_process off; pid {dir}/nginx.pid; error_log {dir}/nginx.err;
events {{ worker_connections 256; }}
http {{
	access_log off; sendfile on; server_tokens off;
	client_body_temp_path {dir}; proxy_temp_path {dir}; fastcgi_temp_path {dir}; uwsgi_temp_path {dir};
	scgi_temp_path {dir};
	server {{ listen 80; listen [::]:80; root {dir}/www;
		location = /who {{ default_type text/plain; return 200 "$remote_addr $remote_port\n"; }} }}
}}
"""

SSHD = """
Port 22
HostKey {dir}/host_key
AuthorizedKeysFile {dir}/john_key.pub
PidFile none
StrictModes no
UsePAM no
PermitRootLogin yes
PasswordAuthentication no
UseDNS no
PrintMotd no
"""

VSFTPD = """
listen=NO
listen_ipv6=YES
anonymous_enable=YES
local_enable=NO
anon_root={dir}/www
no_anon_password=YES
pasv_enable=YES
port_enable=NO
background=NO
seccomp_sandbox=NO
secure_chroot_dir={dir}/empty
run_as_launching_user=NO
"""

DNSMASQ = ["--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--pid-file=", "--user=root",
           "--port=53", "--edns-packet-max=4096", "--local=/test/"]


class Servers:
    """Everything that John visits, in one namespace; files in one directory."""

    def __init__(self, ns, directory):
        self.ns = ns
        self.dir = str(directory)
        os.makedirs(f"{self.dir}/www", exist_ok=True)
        os.makedirs(f"{self.dir}/empty", exist_ok=True)
        os.chmod(self.dir, 0o755)
        for up in (os.path.dirname(self.dir), os.path.dirname(os.path.dirname(self.dir))):
            if os.stat(up).st_mode & 0o011 != 0o011 and up.startswith("/tmp/"):
                os.chmod(up, 0o755)  # the web and FTP servers' users must reach the files below it
        big = os.urandom(1 << 16) * (BIG_BYTES >> 16)
        self.big_sum = hashlib.sha256(big).hexdigest()
        self._write("www/big", big)
        self._write("www/index.html", b"hello John\n")

    def _write(self, name, data):
        path = f"{self.dir}/{name}"
        with open(path, "wb") as file:
            file.write(data if isinstance(data, bytes) else data.encode())
        return path

    def wait_tcp(self, port, process, families=(socket.AF_INET, socket.AF_INET6)):
        def can_connect(family):
            assert process.poll() is None, f"the server for port {port} ended with {process.returncode}"
            sock = self.ns.socket(family, socket.SOCK_STREAM, timeout=2)
            with sock:
                return sock.connect_ex(("127.0.0.1" if family == socket.AF_INET else "::1", port)) == 0

        for family in families:
            wait_for(f"a server on port {port}", lambda: can_connect(family))

    def web(self):
        conf = self._write("nginx.conf", NGINX.format(dir=self.dir))
        self.wait_tcp(80, self.ns.start("nginx", "-e", f"{self.dir}/nginx.err", "-p", self.dir, "-c", conf))

    def ssh(self):
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
        for key in ("host_key", "john_key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{self.dir}/{key}"], check=True,
                           timeout=20)
        conf = self._write("sshd_config", SSHD.format(dir=self.dir))
        self.wait_tcp(22, self.ns.start("/usr/sbin/sshd", "-D", "-q", "-f", conf))

    def ssh_command(self, address, *words):
        return ["ssh", "-F", "none", "-i", f"{self.dir}/john_key", "-o", "BatchMode=yes",
                "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
                "-o", "ConnectTimeout=10", f"root@{address}", *words]

    def dns(self):
        text = [f"--txt-record=big.test,{i:02d}{'x' * 228}" for i in range(15)]
        process = self.ns.start("dnsmasq", *DNSMASQ, "--host-record=small.test,5.5.1.2,2a00:2:0:1::2", *text)
        self.wait_tcp(53, process)

    def ftp(self, active=False):
        text = VSFTPD.replace("port_enable=NO", "port_enable=YES\nconnect_timeout=1") if active else VSFTPD
        conf = self._write("vsftpd.conf", text.format(dir=self.dir))
        self.wait_tcp(21, self.ns.start("vsftpd", conf))

    def iperf(self, *ports):
        for port in ports:
            process = self.ns.start("iperf3", "-s", "-p", port, "--forceflush")
            self.wait_tcp(port, process, families=(socket.AF_INET6,))

    def quic(self, port=443):
        process = self.ns.start(sys.executable, f"{HERE}/udp443.py", "server", port, stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "ready\n"


def listeners(ns, tcp, udp):
    """Opens plain services, which the stranger shall not see; udp answers everything."""
    process = ns.start(sys.executable, f"{HERE}/listen.py", ",".join(map(str, tcp)), ",".join(map(str, udp)),
                       stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process
