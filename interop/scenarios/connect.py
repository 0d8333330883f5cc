"""`adit connect`: a Linux host as client, both families in the tunnel and nothing past it, also after a crash of the server."""

import ipaddress
import re
import signal

import bench as at
from bench import Bench
from net import Namespace, cable
from pcap import Capture
from server import POOL, PREFIX, PSK, USERS, Adit, check_let_go, check_log
from shell import Daemon, ping, wait_for

LAPTOP4, LAPTOP6 = "10.44.0.2", "fd44::2"
UP = [re.compile(r"IPv4 up"), re.compile(r"IPv6 up")]

# As many datagrams at once as fill the lanes of any processor more than twice, and one that nothing comes after. Several times,
# from other ports: by them the kernel chooses the worker, and one that is not the session's hands all over and keeps none waiting.
BURST, BURSTS = 49, 4
CBC = ("--esp", "aes256-sha1")
SEND = """
import socket, sys
address, count = sys.argv[1], int(sys.argv[2])
with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as sender:
    sender.setsockopt(socket.IPPROTO_UDP, 103, 1000)  # UDP_SEGMENT
    sender.sendto(bytes(1000 * count), (address, 9000))
"""
COUNT = """
import socket, sys
with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as receiver:
    receiver.bind(("::", 9000))
    receiver.settimeout(5)
    print("ready", flush=True)
    for burst in range(int(sys.argv[2])):
        count = 0
        try:
            while count < int(sys.argv[1]):
                receiver.recv(2000)
                count += 1
        except TimeoutError:
            pass
        print(f"burst {burst}: {count}", flush=True)
"""


def run(lab):
    bench = Bench()
    bench.iperf(lab)
    adit = Adit(lab, bench.srv)
    laptop = Namespace("laptop")
    home = Namespace("home")
    cable(laptop, "wifi", home, "rooms")
    laptop.address("wifi", f"{LAPTOP4}/24", f"{LAPTOP6}/64")
    home.address("rooms", f"{at.HOME4}/24", f"{at.HOME6}/64")
    cable(home, "outside", bench.wire, "to-home")
    bench.wire.ip("link set to-home master switch")
    home.address("outside", "10.99.0.8/24", "fd99::8/64")
    home.router()
    home.masquerade("outside")
    laptop.ip(f"route add default via {at.HOME4}")
    laptop.ip(f"-6 route add default via {at.HOME6}")
    bench.srv.ip(f"-6 route add fd44::/64 via fd99::8")
    before = adit.holdings()
    rules = laptop.ip("rule") + laptop.ip("-6 rule")

    # By itself it takes AES-GCM; packets of AES-CBC are sealed together.
    for family, server, offer, esp in (("IPv4", at.SERVER4, (), "AES-GCM-256"), ("IPv6", at.SERVER6, CBC, "AES-CBC-256/HMAC-SHA1-96")):
        session(lab, bench, adit, laptop, family, server, offer, esp, before, rules)
    crash(lab, bench, adit, laptop, home, rules)


def dial(lab, laptop, name, server, offer=()):
    for file, text in (("psk", PSK), ("password", USERS["alice"])):
        (lab.out / file).write_text(text + "\n")
    words = [lab.binary, "connect", server, "--user", "alice", "--password-file", lab.out / "password", "--psk-file", lab.out / "psk",
             "--no-dns", "--log", "debug", *offer]
    daemon = lab.keep(Daemon(f"adit connect {name}", laptop.inside(*words), lab.out / f"{name}.log", env=Adit.environment()))
    for line in UP:
        daemon.wait_said(line, 20)
    return daemon


def session(lab, bench, adit, laptop, name, server, offer, esp, before, rules):
    client = dial(lab, laptop, name, server, offer)
    told = adit.session()
    lab.equal(told["esp"], esp, f"over {name}: sealed with")
    lab.check(ipaddress.ip_address(told["ipv4"]) in ipaddress.ip_network(POOL), f"over {name}: an IPv4 address of the pool", told["ipv4"])
    nets = [ipaddress.ip_network(net) for net in told["ipv6_prefixes"]]
    mine = re.findall(r"inet6 (\S+)/128", laptop.ip("addr show dev adit0"))
    lab.check(mine and ipaddress.ip_address(mine[0]) in nets[0] and nets[0].subnet_of(ipaddress.ip_network(PREFIX)),
              f"over {name}: an IPv6 address of {PREFIX}", (mine, nets))
    device = int(re.search(r"mtu (\d+)", laptop.ip("link show adit0")).group(1))
    lab.equal(device, told["mtu"], f"over {name}: the interface's MTU is the session's")
    for address, header in ((at.HOST4, 28), (at.HOST6, 48)):
        for size in (56, device - header):
            done = laptop.run(*ping(address, "-M", "do", "-s", size), check=False)
            lab.check(" 3 received" in done.stdout, f"over {name}: {address} answers {size} bytes", done.stdout)
        for words in ([], ["-R"]):
            done = laptop.run("iperf3", "-c", address, "-n", "50M", "--connect-timeout", "5000", *words, check=False, seconds=120)
            rate = re.search(r"([\d.]+ \wbits/sec)\s+receiver", done.stdout)
            lab.check(rate, f"over {name}: 50 MB {'from' if words else 'to'} {address} at {rate and rate.group(1)}", done.stdout + done.stderr)
    bench.host.run(*ping(told["ipv4"]))
    for address in (told["ipv4"], mine[0]):
        bursts(lab, bench, laptop, name, address)
    lab.equal(client.stop(), 0, f"over {name}: it ends on SIGTERM with status")
    check_let_go(lab, adit, before, what=f"over {name}: at the end")
    lab.check(laptop.ip("rule") + laptop.ip("-6 rule") == rules, f"over {name}: its routing rules are gone")


def bursts(lab, bench, laptop, name, address):
    log = lab.out / f"bursts-{name}-{address.replace(':', '-')}.log"
    receiver = lab.keep(Daemon("receiver", laptop.inside("python3", "-c", COUNT, BURST, BURSTS), log))
    receiver.wait_said(re.compile("ready"), 10)
    came = []
    for number in range(BURSTS):
        bench.host.run("python3", "-c", SEND, address, BURST)
        came.append(int(receiver.wait_said(re.compile(rf"burst {number}: (\d+)"), 10)[1]))
    lab.equal(came, [BURST] * BURSTS, f"over {name}: of each burst to {address} with nothing after it, as many come")


def crash(lab, bench, adit, laptop, home, rules):
    client = dial(lab, laptop, "crash", at.SERVER4)
    adit.daemon.stop(signal.SIGKILL)
    outside = Capture(lab, home, "rooms", "home")
    for address in (at.HOST4, at.HOST6):
        laptop.run("ping", "-n", "-c", "2", "-i", "0.2", "-W", "1", address, check=False)
    again = Adit(lab, bench.srv, name="again")
    client.wait_said(re.compile(r"the connection is lost(?=.*IPv4 up)(?=.*IPv6 up)", re.S), 60)
    lab.check(True, "a client whose server crashed connects again by itself")
    wait_for("traffic flows", lambda: " 1 received" in laptop.run(
        "ping", "-n", "-c", "1", "-W", "1", at.HOST6, check=False).stdout, 10)
    hosts = {ipaddress.ip_address(address) for address in (at.HOST4, at.HOST6)}
    leaked = [p for p in outside.stop() if p.destination in hosts]
    lab.check(not leaked, "nothing of the tunnel went past it meanwhile", leaked[:3])
    lab.equal(client.stop(), 0, "it ends on SIGTERM with status")
    lab.check(laptop.ip("rule") + laptop.ip("-6 rule") == rules, "its routing rules are gone")
    check_log(lab, again)
