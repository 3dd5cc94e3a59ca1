"""Data sets for calibration and evaluation.

    data = load("mnist.npz:test", input_shape=(1, 28, 28))
    data.images        float32 [S, 1, 28, 28], in the network's input shape
    data.labels        int64 [S], or None
    data.notes         what was guessed: "28x28 -> 1x28x28", "uint8 divided by 255"

    data.preparation   what was said of the stored data: scale, mean, std, layout

One file per source reads it as it lies on the disk (`Source`); `prepare.py` turns that into a `DataSet`.
Whatever is wrong with the data is a diagnostic (SNN3xx), never another exception.
"""

from snnc.data.dataset import DataSet, check_labels
from snnc.data.digits import digits_split
from snnc.data.load import as_dataset, load
from snnc.data.preparation import Preparation

__all__ = ["DataSet", "Preparation", "as_dataset", "check_labels", "digits_split", "load"]
