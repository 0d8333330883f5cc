"""A router behind the tunnel gets a delegated prefix (wide-dhcpv6-client) and numbers a LAN from it."""

import ipaddress

import bench as at
from bench import Bench
from client import LinuxClient, Profile
from guest import Guest
from net import Namespace, cable
from server import PSK, USERS, Adit, check_let_go, check_log
from shell import ping, wait_for

DELEGATE = "2001:db8:78::/48"
DHCP6C = """
interface ppp0 {
    send ia-pd 7;
};
id-assoc pd 7 {
    prefix-interface vec1 {
        sla-id 1;
        sla-len 8;
        ifid 1;
    };
};
"""


def run(lab):
    bench = Bench()
    adit = Adit(lab, bench.srv, ipv6={"delegate": DELEGATE, "delegate-length": 56})
    before = adit.holdings()
    lan = Namespace("branch")
    bench.wire.ip("link add branch type bridge")
    bench.wire.ip("link set branch up")
    cable(lan, "office", bench.wire, "to-branch")
    for device in (bench.wire.tap("b1"), "to-branch"):
        bench.wire.ip(f"link set {device} master branch")
    guest = Guest(lab, "router", bench.wire, bench.plug("c1"), "b1")
    guest.card("vec0", "10.99.0.2/24")
    guest.card("vec1")
    guest.run("sysctl -qw net.ipv6.conf.all.forwarding=1")
    guest.put("/etc/wide-dhcpv6/dhcp6c.conf", DHCP6C)
    client = LinuxClient(guest, Profile("10.99.0.2", psk=PSK, user="alice", password=USERS["alice"]))
    client.configure()

    prefix, pc = branch_up(lab, bench, adit, client, lan)
    first = holds(adit, "alice")
    guest.run("kill $(pidof dhcp6c)")  # a RELEASE goes out
    wait_for("the prefix is given back", lambda: not delegated(adit), 10)
    lab.check(not reaches(bench.host, pc), "a released prefix has no route any more")
    guest.wait("dhcp6c ends", "! pidof dhcp6c", 10)
    again = ask(adit, guest)
    lab.equal(again, prefix, "who asks again gets the same prefix")
    fall_silent(guest)
    client.disconnect()
    check_let_go(lab, adit, before)
    lab.check(not reaches(bench.host, pc), "the end of the session takes the route away")
    check_log(lab, adit)
    restart(lab, adit, client, first)


def branch_up(lab, bench, adit, client, lan):
    """Connects, asks for a prefix and reaches the LAN behind. Result: the prefix, and the
    address of a host on the LAN."""
    guest = client.guest
    client.secure()
    client.dial()
    client.wait_online()
    prefix = ask(adit, guest)
    lab.check(prefix.prefixlen == 56 and prefix.subnet_of(ipaddress.ip_network(DELEGATE)), f"a /56 out of {DELEGATE} is delegated", prefix)
    lab.check(str(prefix) in adit.session()["ipv6_prefixes"], "adit sessions shows it", adit.session()["ipv6_prefixes"])
    router = guest.wait("the router numbers its LAN", "ip -6 -o addr show dev vec1 scope global | grep -o '2001:db8:78:[^ ]*'", 20).strip()
    network = ipaddress.ip_interface(router).network
    lab.check(network.subnet_of(prefix) and network.prefixlen == 64, f"the LAN has a /64 of it: {network}", router)
    pc = network[0x99]
    lan.address("office", f"{pc}/64")
    lan.ip(f"-6 route replace default via {router.split('/')[0]}")
    wait_for("the LAN works", lambda: reaches(lan, router.split("/")[0]), 20)
    for name, where, target in (("a host behind the server reaches one behind the router", bench.host, str(pc)),
                                ("and the other way round", lan, at.HOST6)):
        lab.check(reaches(where, target), f"{name} ({target})")
    return prefix, str(pc)


def restart(lab, adit, client, first):
    """A server that ended and started again gives everybody what they had; others come in between."""
    lab.equal(adit.stop(), 0, "the server ends on SIGTERM with status")
    adit.start("restarted")
    for user in ("bob", "alice"):
        client.log_in_as(user, USERS[user], f"restarted-{user}")
        client.secure()
        client.dial()
        client.wait_online()
        ask(adit, client.guest, user)
        held = holds(adit, user)
        if user == "alice":
            lab.equal(held, first, "after a restart the guest has the addresses and prefixes that it had")
        else:
            lab.check(not {held[0], *held[1]} & {first[0], *first[1]}, "another user before it has others", held)
        fall_silent(client.guest)
        client.disconnect()
    check_log(lab, adit)


def fall_silent(guest):
    """The DHCPv6 client ends without a RELEASE, as with the power."""
    guest.run("kill -9 $(pidof dhcp6c)")
    guest.wait("dhcp6c is gone", "! pidof dhcp6c", 10)


def holds(adit, user):
    session = adit.session(user)
    return session["ipv4"], sorted(session["ipv6_prefixes"])


def ask(adit, guest, user="alice"):
    """Starts dhcp6c. Result: the prefix that the server then says it delegated."""
    guest.run("dhcp6c -c /etc/wide-dhcpv6/dhcp6c.conf -D ppp0 >/run/out/dhcp6c.log 2>&1 </dev/null")
    return wait_for("a prefix is delegated", lambda: delegated(adit, user), 20)


def delegated(adit, user="alice"):
    prefixes = [ipaddress.ip_network(prefix) for prefix in adit.session(user)["ipv6_prefixes"]]
    return next((p for p in prefixes if p.subnet_of(ipaddress.ip_network(DELEGATE))), None)


def reaches(namespace, address):
    done = namespace.run(*ping(address), check=False)
    return " 3 received" in done.stdout
