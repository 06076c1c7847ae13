"""TensorFlow and its datasets, for reading: on the CPU, without chatter.

The only module that imports TensorFlow. Import it inside the function that needs it: it takes
seconds, and most of this package does without.
"""

import os
import sys

# Read when the library is loaded, so they must be set before the import.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

# TensorFlow loads Keras if it is there, and Keras scikit-learn, SciPy's statistics and Matplotlib: 100 MB and a third
# of the time, for what nobody here asks for. Later `tf.keras` loads it after all.
_hidden = "keras" not in sys.modules
if _hidden:
    sys.modules["keras"] = None  # type: ignore[assignment]
try:
    import tensorflow as tf
    import tensorflow_datasets as tfds
finally:
    if _hidden:
        del sys.modules["keras"]

# TensorFlow would otherwise reserve the memory of devices that belong to JAX.
for _kind in ("GPU", "TPU"):
    tf.config.set_visible_devices([], _kind)
tfds.disable_progress_bar()
# Deprecations inside the two libraries are not news to who reads data with them.
tf.get_logger().setLevel("ERROR")

__all__ = ["tf", "tfds"]
