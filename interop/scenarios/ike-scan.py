"""ike-scan tries every phase 1 there is: it finds what the configuration allows, and nothing else."""

import itertools
import re

from bench import SERVER4, Bench
from client import LinuxClient, Profile
from guest import Guest
from net import Namespace, cable
from server import PSK, USERS, Adit, check_log
from stream import Stream

# IANA's numbers: what an operator writes to (attribute 1, key length) and to attributes 2 and 4.
CIPHERS = {"des": (1, None), "3des": (5, None), "aes128": (7, 128), "aes192": (7, 192), "aes256": (7, 256)}
HASHES = {"md5": 1, "sha1": 2, "sha256": 4, "sha384": 5, "sha512": 6}
GROUPS = {"modp768": 1, "modp1024": 2, "modp1536": 5, "modp2048": 14, "modp3072": 15, "modp4096": 16,
          "ecp256": 19, "ecp384": 20, "ecp521": 21}
EVERY = ["-".join(words) for words in itertools.product(CIPHERS, HASHES, GROUPS)]
PSK_METHOD, RSA_METHOD = 1, 3
# What a server without a word about it takes, as conf/adit.toml says, and what `legacy` adds.
DEFAULT = {
    "aes256-sha384-ecp384", "aes256-sha256-ecp384", "aes256-sha1-ecp384", "aes256-sha256-ecp256",
    "aes128-sha256-ecp256", "aes128-sha1-ecp256", "aes256-sha256-modp2048", "aes128-sha256-modp2048",
    "aes256-sha256-modp3072", "aes128-sha256-modp3072", "aes256-sha1-modp2048", "aes128-sha1-modp2048",
}
LEGACY = DEFAULT | {
    "3des-sha1-modp2048", "aes256-sha256-modp1024", "aes256-sha1-modp1024", "aes128-sha256-modp1024",
    "aes128-sha1-modp1024", "3des-sha1-modp1024",
}
NO_PROPOSAL_CHOSEN = 14
HANDSHAKE = re.compile(r"(Main|Aggressive) Mode Handshake returned")
NOTIFY = re.compile(r"Notify message (\d+)")
ENDED = re.compile(r"Ending ike-scan .*: 1 hosts scanned .* 0 returned handshake")
REFUSED = re.compile(r"phase 1 refused|aggressive mode", re.I)


def run(lab):
    bench = Bench()
    scanner = Namespace("scan")
    cable(scanner, "outside", bench.wire, "to-scan")
    bench.wire.ip("link set to-scan master switch")
    scanner.address("outside", "10.99.0.7/24")

    adit = Adit(lab, bench.srv)
    guest = Guest(lab, "client", bench.wire, bench.plug("c1"))
    guest.card("vec0", "10.99.0.2/24")
    client = LinuxClient(guest, Profile("10.99.0.2", psk=PSK, user="alice", password=USERS["alice"]))
    client.configure()
    client.secure()
    client.dial()
    client.wait_online()
    session = adit.session()
    streams = [Stream(lab, bench.host, address) for address in (client.ipv4(), client.ipv6())]

    sweep(lab, adit, scanner, DEFAULT, "by default")
    several(lab, scanner)
    never(lab, adit, scanner)

    for stream, family in zip(streams, ("IPv4", "IPv6")):
        stream.check_lossless(f"the established session, {family}", least=100)
    lab.equal(adit.session()["id"], session["id"], "it is the same session as before, number")
    client.hang_up()
    lab.equal(adit.stop(), 0, "the server ends on SIGTERM with status")
    check_log(lab, adit, [REFUSED])

    adit = Adit(lab, bench.srv, name="legacy", ipsec={"legacy": True})
    sweep(lab, adit, scanner, LEGACY, "with legacy")
    check_log(lab, adit, [REFUSED])


def transform(words, method=PSK_METHOD):
    cipher, digest, group = words.split("-")
    number, bits = CIPHERS[cipher]
    length = f",14={bits}" if bits else ""
    return f"--trans=(1={number}{length},2={HASHES[digest]},3={method},4={GROUPS[group]})"


def scan(scanner, *many):
    """Runs ike-scan once for each list of options; what it printed, for each."""
    mark = "==== next"
    lines = [f"ike-scan --sport=0 --retry=1 --timeout=2000 {' '.join(map(repr, options))} {SERVER4} 2>&1; echo '{mark}'"
             for options in many]
    return scanner.run("sh", "-s", text_in="\n".join(lines), seconds=300).stdout.split(mark + "\n")[:-1]


def verdict(text):
    """"handshake", the number of the notification, or None when nobody answered."""
    if HANDSHAKE.search(text):
        return "handshake"
    return int(found[1]) if (found := NOTIFY.search(text)) else None


def sweep(lab, adit, scanner, allowed, when):
    """Every combination alone: which of them the server takes."""
    before = adit.status()
    answers = dict(zip(EVERY, scan(scanner, *([transform(words)] for words in EVERY))))
    after = adit.status()
    taken = {words for words, text in answers.items() if verdict(text) == "handshake"}
    refused = {words for words, text in answers.items() if verdict(text) == NO_PROPOSAL_CHOSEN}
    lab.check(taken == allowed, f"{when}: of {len(EVERY)} proposals it answers the {len(allowed)} that are allowed",
              f"too many: {sorted(taken - allowed)}, too few: {sorted(allowed - taken)}")
    silent = sorted(set(EVERY) - taken - refused)
    lab.check(not silent, f"{when}: all others get NO-PROPOSAL-CHOSEN", [(words, answers[words]) for words in silent[:3]])
    wrong = [(words, answers[words]) for words in sorted(taken) if not same(words, answers[words])]
    lab.check(not wrong, f"{when}: each answer is the proposal that was offered", wrong[:2])
    counted = after["counters"]["ike_exchanges_refused"] - before["counters"]["ike_exchanges_refused"]
    lab.equal(counted, len(refused), f"{when}: the server counted the refusals")
    half_open = after["gauges"]["half_open"] - before["gauges"]["half_open"]
    lab.check(0 < half_open <= len(taken), f"{when}: it holds no more half-open exchanges than it answered: {half_open}", half_open)


def same(words, text):
    """Whether ike-scan shows just this transform in the answer."""
    cipher, digest, group = words.split("-")
    number, bits = CIPHERS[cipher]
    name = {5: "3DES", 7: "AES"}[number]
    shown = [f"Enc={name} ", f"Group={GROUPS[group]}:", "Auth=PSK", *([f"KeyLength={bits} "] if bits else [])]
    hashed = re.search(r"Hash=(\S+)", text)
    fits = hashed and hashed[1].lower().replace("sha2-", "sha") == digest
    return text.count("Enc=") == 1 and fits and all(word in text for word in shown)


def several(lab, scanner):
    """Weak ones offered beside one that is allowed; and what ike-scan offers by itself."""
    weak = ["des-md5-modp768", "3des-sha1-modp1024", "aes256-md5-modp2048"]
    mixed, alone = scan(scanner, [transform(words) for words in [*weak, "aes128-sha1-modp2048"]], [])
    lab.check(same("aes128-sha1-modp2048", mixed), "of weak proposals and a good one it takes the good one", mixed)
    lab.equal(verdict(alone), NO_PROPOSAL_CHOSEN, "ike-scan's own list (3DES, DES, SHA-1, MD5, MODP-1024) gets the notification")


def never(lab, adit, scanner):
    """Without a word in the configuration: no aggressive mode, no signatures."""
    before = adit.status()["counters"]
    good = [transform(words) for words in ("aes256-sha1-modp2048", "aes256-sha256-modp2048")]
    aggressive = [["--aggressive", "--id=vpn", "--dhgroup=14", words] for words in good]
    signature = [transform("aes256-sha256-modp2048", RSA_METHOD)]
    *answers, signed = scan(scanner, *aggressive, signature)
    for text in answers:
        lab.check(ENDED.search(text) and verdict(text) != "handshake", "aggressive mode is not answered with a handshake", text)
    lab.equal(verdict(signed), NO_PROPOSAL_CHOSEN, "RSA signatures are refused by a server without a certificate")
    after = adit.status()["counters"]
    lab.equal(after["ike_exchanges_refused"] - before["ike_exchanges_refused"], len(answers) + 1, "the server counted these refusals")
