"""Loads the libraries that the TVM of .venv-relay is linked against, so that nobody has to set LD_LIBRARY_PATH.

The loader takes a library that is in the process already, whatever folder it came from. A real driver is taken where
there is one, and the stub where there is none.
"""

import ctypes
import sys
from pathlib import Path

_STUB = Path(sys.prefix, "tvm", "libcuda.so.1")

if _STUB.is_file():  # else the environment is still being made
    try:
        ctypes.CDLL(_STUB.name, ctypes.RTLD_GLOBAL)
    except OSError:
        ctypes.CDLL(str(_STUB), ctypes.RTLD_GLOBAL)
    for _name in ("cuda_runtime/lib/libcudart.so.12", "cuda_nvrtc/lib/libnvrtc.so.12"):
        for _library in Path(sys.prefix).glob(f"lib/python*/site-packages/nvidia/{_name}"):
            ctypes.CDLL(str(_library), ctypes.RTLD_GLOBAL)
