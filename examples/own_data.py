"""Data of one's own: 600 images of 9 x 9 pixels, a bar each, that lies or stands.

python examples/own_data.py bars.npz && eqspike train --data bars.npz --epochs 6
"""

import sys

import numpy as np

rng = np.random.default_rng(0)
labels = rng.integers(0, 2, 600)  # classes are numbered from 0
images = rng.integers(0, 60, (600, 9, 9), dtype=np.uint8)  # uint8: 255 is white; floats in [0, 1] do as well
for image, stands in zip(images, labels):
    image[tuple([slice(1, 8), rng.integers(1, 8)][:: 1 if stands else -1])] = 255
np.savez(sys.argv[1], images=images, labels=labels)  # without a test part: a fifth is held out, or --test-fraction
