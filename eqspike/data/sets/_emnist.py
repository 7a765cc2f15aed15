"""EMNIST: handwritten characters of NIST's Special Database 19 in MNIST's format, in several splits.

The checksums of the leaves are SHA-256 of the .gz files in NIST's gzip.zip, on which github.com/notwa/mnists
(mnists/hashes.py) and the Git LFS pointers of github.com/aurelienduarte/emnist agree; nobody states those of the
decompressed bytes, so only the published .gz are accepted. The files hold each image with rows and columns exchanged
with respect to MNIST's; here they stand upright.
"""

from __future__ import annotations

from ..idx import four_files
from ..named import Archive, IdxSet
from . import datasets


def register(
    split: str, classes: int, counts: tuple[int, int], gz_sha256: tuple[str, ...], first_label: int = 0
) -> None:
    """Enter a split of EMNIST with its number of images to train and to test with, and the sums of its four files."""
    emnist = IdxSet(
        name=f"emnist-{split}",
        title="EMNIST",
        citation="G. Cohen, S. Afshar, J. Tapson and A. van Schaik, EMNIST: an extension of MNIST to handwritten letters,"
        " arXiv:1702.05373, 2017",
        licence="none stated; published by NIST",
        classes=classes,
        files=four_files(counts, train=f"emnist-{split}-train", test=f"emnist-{split}-test", gz_sha256=gz_sha256),
        archive=Archive(
            urls=(
                "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip",
                "https://www.itl.nist.gov/iaui/vip/cs_links/EMNIST/gzip.zip",
            ),
            most=600_000_000,  # it has 561,753,746
            directory="gzip",
        ),
        first_label=first_label,
        transposed=True,
    )
    datasets.register(emnist.name)(emnist)
