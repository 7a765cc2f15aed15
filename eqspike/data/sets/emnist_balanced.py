"""EMNIST balanced: 131,600 handwritten digits and letters in 47 classes of equal size. See _emnist.py.

Classes: 0 to 9, A to Z, then those small letters that differ from their capitals, a b d e f g h n q r t.
"""

from ._emnist import register

register(
    "balanced",
    classes=47,
    counts=(112_800, 18_800),
    gz_sha256=(
        "74295e75e4e9fa2c102147460ee7eb763653d5132d883a84fb88932bfb8d2db4",
        "b46d41e5156a0a8aaaa4d18979fdd1588850fa8571018acffd5d93b325a7d6ed",
        "117fc12b015e37ea98bfb2cbba3f77c3782c056cdbd219b87abfc8661d7135db",
        "a67cac948379b67270b9a4d0a01c8ec661598accf2f2b1964340b7c83cb175cd",
    ),
)
