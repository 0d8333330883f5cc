"""The bare loop as a server: one end of it in adit's own namespace, so that the same kernel lies around both,
and the other with the client. See ../bare-loop."""

import json
import re

import bench as at
from shell import Daemon, Failed

PORT = 4600
CLIENT4 = "10.99.0.8"
DEVICE = "bare"
READY = re.compile("^ready$", re.M)
INSIDE = {"srv": ("10.66.0.1/24", "fd66::1/64"), "laptop": ("10.66.0.2/24", "fd66::2/64")}


class End:
    """A running end of the loop."""

    def __init__(self, lab, program, namespace, local, remote, mtu):
        self.namespace = namespace
        words = namespace.inside(program, DEVICE, f"{local}:{PORT}", f"{remote}:{PORT}")
        self.log = lab.out / f"bare-loop-{namespace.name}.log"
        self.log.unlink(missing_ok=True)
        self.daemon = lab.keep(Daemon("the bare loop", words, self.log))
        self.daemon.wait_said(READY, 10)
        self.resize(mtu)
        namespace.address(DEVICE, *INSIDE[namespace.name])

    def resize(self, mtu):
        self.namespace.ip(f"link set {DEVICE} mtu {mtu}")

    def stop(self):
        """Ends it; Failed if it has not carried packets both ways. Result: what it counted."""
        self.daemon.stop()
        told = json.loads(self.daemon.said().splitlines()[-1])
        if not told["sent"] or not told["written"]:
            raise Failed(f"{self.daemon} in {self.namespace.name}: {told}")
        return told


def serve(lab, program, bench):
    """The server's end."""
    return End(lab, program, bench.srv, at.SERVER4, CLIENT4, 1280)


def dial(lab, program, client, server, mtu):
    """The client's end, with packets of up to `mtu` bytes inside."""
    server.resize(mtu)
    end = End(lab, program, client, CLIENT4, at.SERVER4, mtu)
    client.ip(f"route add {at.HOST4} dev {DEVICE}")
    client.ip(f"-6 route add {at.HOST6} dev {DEVICE}")
    return end
