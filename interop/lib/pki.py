"""Certification authorities and certificates, made with openssl."""

from shell import run

DAYS = "90"
KEYS = {"rsa": ["rsa", "-pkeyopt", "rsa_keygen_bits:2048"], "p256": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
        "p384": ["ec", "-pkeyopt", "ec_paramgen_curve:P-384"]}
AUTHORITY = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign"
LEAF = "basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage={purpose}\nsubjectAltName={names}"
BOTH = "\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid"


class Authority:
    """A CA in `folder`: NAME.pem, NAME.key, NAME.crl; below `parent`, or a root of its own."""

    def __init__(self, folder, name, kind="rsa", parent=None):
        self.folder, self.name, self.kind, self.parent = folder, name, kind, parent
        self.serial = 0x1000
        self.cert, self.key, self.crl = (folder / f"{name}.{end}" for end in ("pem", "key", "crl"))
        (parent or self).sign(name, kind, f"CN=adit interop {name}", AUTHORITY)

    def sign(self, name, kind, subject, extensions):
        """A key and a certificate of this CA in folder/NAME.key and folder/NAME.pem; its serial number."""
        folder, request, added = self.folder, self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        self.serial += 1
        openssl("genpkey", "-algorithm", *KEYS[kind], "-out", folder / f"{name}.key")
        added.write_text(extensions + BOTH + "\n")
        openssl("req", "-new", "-key", folder / f"{name}.key", "-subj", "/" + subject, "-out", request)
        signer = ["-signkey", self.key] if name == self.name else ["-CA", self.cert, "-CAkey", self.key]
        openssl("x509", "-req", "-in", request, *signer, "-set_serial", str(self.serial), "-days", DAYS, "-sha256",
                "-extfile", added, "-out", folder / f"{name}.pem")
        return self.serial

    def leaf(self, name, names, purpose="clientAuth", kind=None):
        """A leaf for CN=`name` with the subject alternative names `names`, as openssl writes them."""
        return self.sign(name, kind or self.kind, f"CN={name}", LEAF.format(purpose=purpose, names=names))

    def revoke(self, *serials):
        """Makes the list of revoked certificates, these and no others; empty without any."""
        index, config = self.folder / f"{self.name}.index", self.folder / f"{self.name}.cnf"
        index.write_text("".join(f"R\t491231235959Z\t250101000000Z\t{serial:04X}\tunknown\t/CN=revoked\n" for serial in serials))
        config.write_text(f"[ca]\ndefault_ca=own\n[own]\ndatabase={index}\ndefault_md=sha256\ndefault_crl_days={DAYS}\n"
                          "crl_extensions=extensions\n[extensions]\nauthorityKeyIdentifier=keyid\n")
        openssl("ca", "-config", config, "-gencrl", "-cert", self.cert, "-keyfile", self.key, "-out", self.crl)


def openssl(*words):
    return run("openssl", *words, seconds=60)
