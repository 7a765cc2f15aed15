"""EMNIST digits: 280,000 handwritten digits. What they are and where the checksums are from: _emnist.py."""

from ._emnist import register

register(
    "digits",
    classes=10,
    counts=(240_000, 40_000),
    gz_sha256=(
        "f7c95004d14d81af89522e67d8f0c781dfb3bd544181c81bfe1eb6b41c35b726",
        "6638a6ff5fe2eefd9cca2471995b46c82986b8e4b2a70d2f5ce8e05d7edb319e",
        "20ebe43509264f7639d37c835a3f0b009e90b29e00a099a03101abe1644a3f63",
        "bad1834c45d5988e270b99d43b13edc3fd898f658ffbc2caf2846ef27f7b05b0",
    ),
)
