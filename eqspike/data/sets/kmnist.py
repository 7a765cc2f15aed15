"""Kuzushiji-MNIST: ten characters of Japanese cursive, one for each row of hiragana, made to take MNIST's place.

The checksums are SHA-256 of the .gz files as published, on which TensorFlow Datasets (url_checksums/kmnist.txt) and
torchvision's prototype datasets agree; nobody states those of the decompressed bytes. So only the published .gz are
accepted. The three of them that were at hand (not the training images) have these checksums.
"""

from __future__ import annotations

from ..idx import four_files
from ..named import IdxSet
from . import datasets

KMNIST = IdxSet(
    name="kmnist",
    title="KMNIST",
    citation="T. Clanuwat et al., Deep learning for classical Japanese literature, arXiv:1812.01718, 2018",
    licence="CC BY-SA 4.0",
    classes=10,
    files=four_files(
        gz_sha256=(
            "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
            "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
            "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
            "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
        )
    ),
    mirrors=("https://codh.rois.ac.jp/kmnist/dataset/kmnist", "http://codh.rois.ac.jp/kmnist/dataset/kmnist"),
)
datasets.register(KMNIST.name)(KMNIST)
