"""Fashion-MNIST: photographs of clothes in ten kinds, made to take MNIST's place.

The checksums are SHA-256 of the decompressed bytes, computed from the files of Debian's package
dataset-fashion-mnist, which puts them where they are looked for before anything is downloaded.
"""

from __future__ import annotations

from pathlib import Path

from ..idx import four_files
from ..named import IdxSet
from . import datasets

FASHION_MNIST = IdxSet(
    name="fashion-mnist",
    title="Fashion-MNIST",
    citation="H. Xiao, K. Rasul and R. Vollgraf, Fashion-MNIST: a novel image dataset, arXiv:1708.07747, 2017",
    licence="MIT",
    classes=10,
    files=four_files(
        sha256=(
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        )
    ),
    mirrors=(
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
    ),
    installed=(Path("/usr/share/datasets/fashion-mnist"),),
)
datasets.register(FASHION_MNIST.name)(FASHION_MNIST)
