"""The Linux L2TP/IPsec client in a guest: strongSwan, xl2tpd, the kernel's L2TP, pppd.

Its logs are charon.log, xl2tpd.log and ppp.log, with the client's name before, in the scenario's
folder; inside the guest they can be read as they grow.
"""

import re
import shlex
from dataclasses import dataclass

from shell import Failed, ping, wait_for

CURRENT = re.compile(r"lifetime current:\s*(\d+)\(bytes\), (\d+)\(packets\)")


@dataclass
class Profile:
    """What a user of that client would have typed in."""

    address: str
    server: str = "10.99.0.1"
    psk: str = ""
    user: str = ""
    password: str = ""
    ike: str = "aes256-sha1-modp2048"
    esp: str = "aes256-sha1"
    force_encapsulation: bool = True
    lifetimes: str = ""  # more lines of ipsec.conf
    ipv4: bool = True
    ipv6: bool = True
    default_route: bool = True  # IPv4's; that of IPv6 comes from the server
    eap: bool = False  # whether it agrees to EAP
    mtu: int = 1400


class LinuxClient:
    """One client in `guest`. The order of calls: configure, secure, dial, ..., hang_up.

    With `variants` it has more connections than `l2tp`, and disconnect() leaves strongSwan running for
    the next secure() and dial(): to start it takes longer than all the rest.
    """

    def __init__(self, guest, profile, name="client"):
        self.guest, self.profile, self.name, self.said = guest, profile, name, ""
        self.charon, self.xl2tpd, self.ppp = (f"/run/out/{name}.{log}.log" for log in ("charon", "xl2tpd", "ppp"))

    def configure(self, variants=None, secrets=None):
        """Writes everything and starts strongSwan. `variants`: names of more connections to what of
        ipsec.conf differs in them, as {keyword: value}. `secrets`: of ipsec.secrets, if not the PSK."""
        p, put = self.profile, self.guest.put
        yes = {True: "yes", False: "no"}
        put("/etc/ipsec.conf", f"""
conn l2tp
    keyexchange=ikev1
    authby=secret
    type=transport
    left={p.address}
    leftprotoport=udp/1701
    right={p.server}
    rightid=%any
    rightprotoport=udp/1701
    ike={p.ike}!
    esp={p.esp}!
    forceencaps={yes[p.force_encapsulation]}
    keyingtries=1
    auto=add{p.lifetimes}
""" + "".join(f"""
conn {name}
    also=l2tp
""" + "".join(f"    {key}={value}\n" for key, value in changes.items()) for name, changes in (variants or {}).items()))
        put("/etc/ipsec.secrets", secrets or f'{p.address} %any : PSK "{p.psk}"')
        # Patience for a lossless wire: a peer that stays silent is given up after 2 + 3 + 4.5 s.
        put("/etc/strongswan.d/zz-interop.conf", f"""
charon {{
    retransmit_timeout = 2
    retransmit_base = 1.5
    retransmit_tries = 2
    filelog {{
        interop {{
            path = {self.charon}
            flush_line = yes
            ike_name = yes
            default = 1
        }}
    }}
}}
""")
        put("/etc/xl2tpd/xl2tpd.conf", f"""
[global]
port = 1701
[lac vpn]
lns = {p.server}
pppoptfile = /etc/ppp/options.interop
length bit = yes
""")
        self.log_in_as(p.user, p.password)
        # The guest is a host: it configures itself from what the server advertises.
        self.guest.run("sysctl -qw net.ipv6.conf.default.accept_ra=2 net.ipv6.conf.default.autoconf=1"
                       " net.ipv6.conf.default.use_tempaddr=0")
        self.guest.run("ipsec start --nofork </dev/null >/run/out/starter.log 2>&1 &")
        last = [*(variants or {"l2tp": {}})][-1]
        self.guest.wait("strongSwan has the connections", f"ipsec statusall 2>/dev/null | grep -q ' {last}: '", 90)

    def log_in_as(self, user, password, log=None, more=()):
        """What pppd will say from the next dial() on; `log` begins a log of its own, LOG.ppp.log. `more`:
        lines of its options."""
        p = self.profile
        if log:
            self.ppp = f"/run/out/{log}.ppp.log"
        self.guest.put("/etc/ppp/options.interop", "\n".join([
            "noauth", "" if p.eap else "refuse-eap", "noccp", "nodetach", "debug", f"logfile {self.ppp}",
            "ipcp-accept-local", "ipcp-accept-remote", "usepeerdns",
            "defaultroute replacedefaultroute" if p.default_route else "",
            f"mtu {p.mtu}", f"mru {p.mtu}", f'name "{user}"', f'password "{password}"',
            "" if p.ipv4 else "noip", "+ipv6" if p.ipv6 else "noipv6", *more,
        ]))

    def secure(self, check=True, connection="l2tp"):
        """Phase 1 and Quick Mode. Result: whether both succeeded, and the text of `ipsec up`.

        Its exit status is of no use: for IKEv1 it is 0 after a failure, too.
        """
        text = self.guest.run(f"ipsec up {connection}", seconds=60, check=False).out
        up = f"connection '{connection}' established successfully" in text
        if check and not up:
            raise Failed(f"{self.name}: ipsec up: {text[-1500:]}")
        return up, text

    def dial(self):
        """Starts L2TP and PPP inside the SA; does not wait for either."""
        guest = self.guest
        guest.run("mkdir -p /run/xl2tpd; rm -f /run/xl2tpd/l2tp-control")
        guest.run(f"xl2tpd -D -c /etc/xl2tpd/xl2tpd.conf </dev/null >>{self.xl2tpd} 2>&1 &")
        guest.wait("xl2tpd takes orders", "test -p /run/xl2tpd/l2tp-control", 10)
        guest.run("echo 'c vpn' >/run/xl2tpd/l2tp-control")

    def addresses(self, family=None):
        """Addresses of ppp0: objects with local, address (the peer's, IPv4), prefixlen, scope, ..."""
        found = self.guest.json("ip -j addr show dev ppp0 2>/dev/null", check=False)
        every = [a for device in found for a in device.get("addr_info", [])]
        return [a for a in every if family is None or a["family"] == family]

    def wait_online(self, seconds=20):
        """Waits for an address and the default route of each family that this client wants."""
        wanted = {4: self.profile.ipv4, 6: self.profile.ipv6}
        for family in (family for family, on in wanted.items() if on):
            self.guest.wait(f"ppp0 has a global IPv{family} address",
                            f"ip -{family} addr show dev ppp0 scope global 2>/dev/null | grep -q inet", seconds)
            if self.profile.default_route:
                self.guest.wait(f"the IPv{family} default route goes through ppp0",
                                f"ip -{family} route show default dev ppp0 | grep -q default", seconds)

    def ipv4(self):
        return next((a["local"] for a in self.addresses("inet")), None)

    def ipv6(self):
        return next((a["local"] for a in self.addresses("inet6") if a["scope"] == "global"), None)

    def ping(self, address, *options, count=3):
        """Whether every one of `count` pings was answered; what ping said is then in `said`."""
        done = self.guest.run(shlex.join(ping(address, *options, count=count)), check=False)
        self.said = done.out
        return done.status == 0 and f" {count} received" in done.out

    def esp(self):
        """Counters of the kernel's SAs: (SAs, bytes, packets, whether all are in UDP 4500)."""
        text = self.guest.run("ip -s xfrm state").out
        sums = [(int(b), int(p)) for b, p in CURRENT.findall(text)]
        encapsulated = text.count("encap type espinudp sport 4500 dport 4500")
        return len(sums), sum(b for b, _ in sums), sum(p for _, p in sums), 0 < len(sums) == encapsulated

    def rekey(self, kind, replaced):
        """Replaces its newest SA, "IKE" or "ESP", and waits until `replaced()` says that it is done.

        strongSwan does nothing if the server has replaced that SA just before: then it is asked again,
        for the new one.
        """
        shown, name = {"IKE": (r"l2tp\[(\d+)\]: ESTABLISHED", "l2tp[{}]"), "ESP": (r"l2tp\{(\d+)\}:", "l2tp{{{}}}")}[kind]
        asked = 0

        def done():
            nonlocal asked
            newest = max(map(int, re.findall(shown, self.guest.run("ipsec status").out)), default=0)
            if replaced():
                return True
            if newest > asked:
                self.guest.run(f"ipsec stroke rekey '{name.format(newest)}'")
                asked = newest
            return False
        wait_for(f"{self.name} has replaced its {kind} SA", done, 20)

    def read(self, log):
        return self.guest.run(f"cat {log} 2>/dev/null", check=False).out

    def disconnect(self, connection="l2tp", tunnel_first=False):
        """Ends PPP, then L2TP, then the SAs. With `tunnel_first` as xl2tpd does it by itself: then
        nobody answers pppd any more, and it takes six seconds more to give up."""
        guest = self.guest
        if guest.run("pidof xl2tpd", check=False).status == 0:
            guest.run("echo 'd vpn' >/run/xl2tpd/l2tp-control" if tunnel_first else "kill $(pidof pppd)", check=tunnel_first)
            guest.wait("ppp0 is gone", "! ip link show dev ppp0 2>/dev/null && ! pidof pppd", 20)
            # StopCCN goes out on SIGTERM and must leave before its SA does
            guest.run("kill $(pidof xl2tpd)")
            guest.wait("xl2tpd ends", "! pidof xl2tpd", 20)
        guest.run(f"ipsec down {connection}", check=False)

    def hang_up(self, tunnel_first=False):
        """Disconnects as a user would, and ends the programs."""
        self.disconnect(tunnel_first=tunnel_first)
        self.guest.run("ipsec stop", check=False)
        self.guest.wait("strongSwan ends", "! pidof charon", 20)
