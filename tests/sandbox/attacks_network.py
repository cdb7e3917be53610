"""Attacks over the network and by way of sockets. The host's servers do listen."""

from attacks import Attack

REACH = """
def reach(family, address, kind=socket.SOCK_STREAM):
    with socket.socket(family, kind) as made:
        made.settimeout(3)
        made.connect(address)
        if kind == socket.SOCK_STREAM:
            assert made.recv(5) == b"hello"
        else:
            made.send(b"hello")
"""

NETWORK = {
    "TCP": Attack(
        REACH
        + """
for address in (*host["addresses"], "0.0.0.0"):
    attempt(reach, socket.AF_INET, (address, host["tcp"]))
attempt(reach, socket.AF_INET6, (f"::ffff:{host['addresses'][0]}", host["tcp"]))
"""
    ),
    "UDP": Attack(
        REACH
        + """
for address in host["addresses"]:
    try:
        reach(socket.AF_INET, (address, host["udp"]), socket.SOCK_DGRAM)
    except OSError as error:
        print("held:", error)
# The answer to whether it arrived is the host's.
"""
    ),
    "names of the network": Attack(
        """
for name in ("example.com", "deepseek.com", "localhost.localdomain"):
    attempt(socket.getaddrinfo, name, 80)
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
    attempt(made.sendto, b"x" * 20, ("8.8.8.8", 53))
""",
        outside=False,
    ),
    "a socket file": Attack(REACH + 'attempt(reach, socket.AF_UNIX, host["unix"])'),
    "an abstract socket": Attack(
        REACH + r'attempt(reach, socket.AF_UNIX, "\0" + host["abstract"])'
    ),
    "raw sockets": Attack("""
for kind, protocol in ((socket.SOCK_RAW, 1), (socket.SOCK_RAW, 255), (socket.SOCK_DGRAM, 1)):
    attempt(socket.socket, socket.AF_INET, kind, protocol)
"""),
    "packets": Attack("attempt(socket.socket, socket.AF_PACKET, socket.SOCK_RAW, 3)"),
    "netlink": Attack("attempt(socket.socket, socket.AF_NETLINK, socket.SOCK_RAW, 0)"),
    "the host of a virtual machine": Attack(
        "attempt(socket.socket, socket.AF_VSOCK, socket.SOCK_STREAM)"
    ),
    "protocols that load a module": Attack(
        """
for kind, protocol in ((1, 132), (5, 132), (6, 33), (6, 0), (2, 136), (1, 262)):
    attempt(socket.socket, socket.AF_INET, kind, protocol)
for family in (3, 4, 5, 9, 21, 23, 26, 30, 31, 35, 38, 39, 41, 42, 44, 45):
    attempt(socket.socket, family, socket.SOCK_DGRAM, 0)
"""
    ),
    "changing the network": Attack("""
import fcntl
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
    attempt(fcntl.ioctl, made, 0x8914, struct.pack("16sH14x", b"lo", 0x49))
"""),
}
