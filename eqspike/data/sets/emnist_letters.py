"""EMNIST letters: 145,600 handwritten letters, capital and small in one class: 0 is A. See _emnist.py.

In its files labels begin at 1. The test set is sorted by class: its first images are all of one letter.
"""

from ._emnist import register

register(
    "letters",
    classes=26,
    counts=(124_800, 20_800),
    gz_sha256=(
        "6288f418a917e007bf5fddb823a2dc7a5c6a35031401b93292a539cb12bd881f",
        "9759af91ea6bccdf07a6040fd085861f2ec88e37f7c3f5760f6feb57106fbe5c",
        "50f0e93d75b99b463e9760b8345866f22587fa2c2fba472730a5ba09c693412d",
        "924955c31fe7fd809b7303b5c0141282955f4b8390c74cdfd5d80435e0f4b4cb",
    ),
    first_label=1,
)
