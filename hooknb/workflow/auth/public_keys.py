"""Signatures with public keys: what ``hooknb[signatures]`` adds."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TypeAlias

from hooknb.errors import SettingError

try:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
except ImportError as error:
    raise SettingError(
        "auth", f"this sender needs {error.name}; pip install 'hooknb[signatures]'"
    ) from error

__all__ = ["can_sign", "load_key", "sign", "verify"]

PublicKey: TypeAlias = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
PrivateKey: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

_PRIVATE = (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey, ed25519.Ed25519PrivateKey)
_OF_KIND: Mapping[str, tuple[type, type]] = {
    "rsa": (rsa.RSAPublicKey, rsa.RSAPrivateKey),
    "ecdsa": (ec.EllipticCurvePublicKey, ec.EllipticCurvePrivateKey),
    "ed25519": (ed25519.Ed25519PublicKey, ed25519.Ed25519PrivateKey),
}
_HASHES: Mapping[str, hashes.HashAlgorithm] = {
    "sha1": hashes.SHA1(),  # noqa: S303 - what some senders sign with
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}


@lru_cache(maxsize=64)
def load_key(kind: str, form: str, text: str) -> PublicKey | PrivateKey:
    """Load a key of a kind from PEM (a key or a certificate), or from bytes written in a form.

    Bytes are a public key: the 32 of Ed25519, or DER (SubjectPublicKeyInfo).

    Raises
    ------
    ValueError
        It is not such a key.
    """
    try:
        key: PublicKey | PrivateKey = _load(kind, form, text.strip())
    except (UnsupportedAlgorithm, TypeError, binascii.Error) as error:
        raise ValueError(str(error)) from error
    if not isinstance(key, _OF_KIND[kind]):
        raise ValueError(kind)  # noqa: TRY004 - of the right type, but another kind of key
    return key


def _load(kind: str, form: str, text: str) -> Any:
    if "-----BEGIN CERTIFICATE" in text:
        return x509.load_pem_x509_certificate(text.encode()).public_key()
    if "PRIVATE KEY-----" in text:
        return serialization.load_pem_private_key(text.encode(), None)
    if text.startswith("-----BEGIN"):
        return serialization.load_pem_public_key(text.encode())
    text = text.removeprefix("whpk_")
    content = bytes.fromhex(text) if form == "hex" else base64.b64decode(text, validate=True)
    if kind == "ed25519":
        return ed25519.Ed25519PublicKey.from_public_bytes(content)
    return serialization.load_der_public_key(content)


def can_sign(key: PublicKey | PrivateKey) -> bool:
    """Return whether it is a private key."""
    return isinstance(key, _PRIVATE)


def verify(key: PublicKey | PrivateKey, digest: str, signature: bytes, content: bytes) -> bool:
    """Return whether a signature is that of the content; RSA as PKCS #1 v1.5, ECDSA in DER."""
    public = key.public_key() if isinstance(key, _PRIVATE) else key
    try:
        if isinstance(public, rsa.RSAPublicKey):
            public.verify(signature, content, padding.PKCS1v15(), _HASHES[digest])
        elif isinstance(public, ec.EllipticCurvePublicKey):
            public.verify(signature, content, ec.ECDSA(_HASHES[digest]))
        else:
            public.verify(signature, content)
    except InvalidSignature:
        return False
    return True


def sign(key: PublicKey | PrivateKey, digest: str, content: bytes) -> bytes:
    """Sign the content with a private key."""
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(content, padding.PKCS1v15(), _HASHES[digest])
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(content, ec.ECDSA(_HASHES[digest]))
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(content)
    raise SettingError("auth.secret", "a public key cannot sign")
