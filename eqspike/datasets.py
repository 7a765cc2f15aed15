"""stub until the real one lands"""
from __future__ import annotations
import gzip, hashlib
from dataclasses import dataclass, replace
import numpy as np
@dataclass(frozen=True)
class Images:
    pixels: np.ndarray
    labels: np.ndarray
    scale: float
    def __len__(self): return len(self.labels)
    def take(self, i): return (self.pixels[i] / np.float32(self.scale)).astype(np.float32), self.labels[i]
@dataclass(frozen=True)
class Dataset:
    name: str; train: Images; test: Images; classes: int; image_shape: tuple; checksum: str
    @property
    def inputs(self): return self.image_shape[0]*self.image_shape[1]
    def limited(self, train=None, test=None):
        cut = lambda im, n: im if n is None else replace(im, pixels=im.pixels[:n], labels=im.labels[:n])
        return replace(self, train=cut(self.train, train), test=cut(self.test, test))
def load(name, data_dir=None, progress=None):
    if name == "digits":
        from sklearn.datasets import load_digits
        d = load_digits(); order = np.random.default_rng(0).permutation(len(d.target)); x=d.data[order].astype(np.uint8); y=d.target[order].astype(np.int64)
        return Dataset(name, Images(x[:-360], y[:-360], 16), Images(x[-360:], y[-360:], 16), 10, (8, 8), hashlib.sha256(x).hexdigest())
    def idx(f,o): return np.frombuffer(gzip.open(str(data_dir)+'/'+f).read(),np.uint8,offset=o)
    tr=Images(idx('train-images-idx3-ubyte.gz',16).reshape(-1,784), idx('train-labels-idx1-ubyte.gz',8).astype(np.int64),255)
    te=Images(idx('t10k-images-idx3-ubyte.gz',16).reshape(-1,784), idx('t10k-labels-idx1-ubyte.gz',8).astype(np.int64),255)
    return Dataset(name,tr,te,10,(28,28),"stub")
