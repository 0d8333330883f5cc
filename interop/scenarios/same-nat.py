"""Three clients behind one NAT, all from port 1701: one dies and returns, one rekeys, one never notices."""

import bench as at
from bench import Bench
from client import LinuxClient, Profile
from guest import Guest
from server import PSK, USERS, Adit, check_let_go, check_log
from shell import wait_for
from stream import Stream

NAMES = ("steady", "dying", "rekeying")
REKEYS = 3
# What the dead client had goes when it has been silent for so long.
DPD = {"dpd.idle": "20s", "dpd.retry": "2s", "dpd.tries": 3}
GONE_SECONDS = 60


def run(lab):
    bench = Bench()
    adit = Adit(lab, bench.srv, ipsec=DPD)
    before = adit.holdings()
    taps = {name: bench.plug_behind_nat(f"c{number}") for number, name in enumerate(NAMES)}
    users = dict(zip(NAMES, USERS))
    clients = {name: boot(lab, bench, taps, users, name) for name in NAMES}
    for client in clients.values():
        client.secure()
    for client in clients.values():
        client.dial()
    for client in clients.values():
        client.wait_online()

    sessions = {name: adit.session(users[name]) for name in NAMES}
    peers = {session["peer"] for session in sessions.values()}
    lab.check(len(peers) == 3 and all(peer.rsplit(":", 1)[0] == at.NAT_OUTSIDE for peer in peers),
              f"three sessions from three ports of {at.NAT_OUTSIDE}", peers)
    nets = [(session["ipv4"], *session["ipv6_prefixes"]) for session in sessions.values()]
    lab.check(len(set(nets)) == 3 and all(len(net) == 2 for net in nets), "each has an IPv4 address and a prefix of its own", nets)
    for name, client in clients.items():
        selectors = client.guest.run("ip xfrm policy").out
        lab.check("sport 1701" in selectors and "dport 1701" in selectors, f"{name}: it uses port 1701 at both ends", selectors)

    steady, rekeying, dying = clients["steady"], clients["rekeying"], clients["dying"]
    streams = {(client.name, family): Stream(lab, bench.host, address, name=f"{client.name}-{family}")
               for client in (steady, rekeying)
               for family, address in (("IPv4", client.ipv4()), ("IPv6", client.ipv6()))}
    for name, client in clients.items():
        both = client.ping(at.HOST4) and client.ping(at.HOST6)
        lab.check(both, f"{name}: pings a host behind the server in both families, while all are up", client.said)

    mine = steady.esp()
    dying.guest.power_loss()
    before_rekeys = adit.status()["counters"]
    for _ in range(REKEYS):
        for kind, counter in (("ESP", "child_established"), ("IKE", "ike_established")):
            count = adit.status()["counters"][counter]
            rekeying.rekey(kind, lambda: adit.status()["counters"][counter] > count)
    after_rekeys = adit.status()["counters"]
    grown = [after_rekeys[name] - before_rekeys[name] for name in ("child_established", "ike_established")]
    lab.check(min(grown) >= REKEYS, f"one client rekeyed ESP and IKE, {grown} times, while another was dead", grown)

    returned = boot(lab, bench, taps, users, "dying", log="returned")
    returned.secure()
    returned.dial()
    returned.wait_online()
    wait_for("the dead client's session is superseded", lambda: len(adit.sessions()) == 3, 20)
    lab.check(adit.session(users["dying"])["id"] != sessions["dying"]["id"], "the dead client returned to a new session", adit.sessions())
    lab.check(returned.ping(at.HOST4) and returned.ping(at.HOST6), "it pings a host behind the server in both families", returned.said)
    for name in ("steady", "rekeying"):
        lab.equal(adit.session(users[name])["id"], sessions[name]["id"], f"{name}: it has the session that it had, number")
    now = steady.esp()
    lab.check(now[0] == 2 and now[2] > mine[2], "steady: its SAs are the two that it had", (mine, now))
    for (name, family), stream in streams.items():
        stream.check_lossless(f"{name}, {family}", least=500)

    for client in (steady, rekeying, returned):
        client.hang_up()
    check_let_go(lab, adit, before, GONE_SECONDS)
    check_log(lab, adit)


def boot(lab, bench, taps, users, name, log=None):
    address = f"10.98.0.{2 + NAMES.index(name)}"
    guest = Guest(lab, log or name, bench.nat, taps[name])
    guest.card("vec0", f"{address}/24")
    guest.run(f"ip route add {at.SERVER4} via {at.NAT_INSIDE}")
    user = users[name]
    profile = Profile(address, psk=PSK, user=user, password=USERS[user], force_encapsulation=False)
    client = LinuxClient(guest, profile, log or name)
    client.configure()
    return client
