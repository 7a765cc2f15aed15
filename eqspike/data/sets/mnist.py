"""MNIST: handwritten digits.

The checksums are SHA-256 of the decompressed bytes, since the compression differs between copies. They were computed
from the published files: three of them have the SHA-256 (compressed) that github.com/notwa/mnists states.
"""

from __future__ import annotations

from ..download import DOWNLOADS
from ..idx import four_files
from ..named import IdxSet
from . import datasets

MNIST = IdxSet(
    name="mnist",
    title="MNIST",
    citation="Y. LeCun, C. Cortes and C. J. C. Burges, The MNIST database of handwritten digits",
    licence="CC BY-SA 3.0",
    classes=10,
    files=four_files(
        sha256=(
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        )
    ),
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist",
        "https://storage.googleapis.com/cvdf-datasets/mnist",
    ),
    home=DOWNLOADS,  # where it was before there were other sets
)
datasets.register(MNIST.name)(MNIST)
