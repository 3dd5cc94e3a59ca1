"""Converted networks as C for microcontrollers: C99, integers only, no allocation, no library.

`planner.py` walks through the calibrated graph and plans a program (`program.py`): constants, states, scratch memory
and calls of the functions in `templates/`, which `kernels.py` writes for the integer types that they are called with.
`sources.py` and `readme.py` make files of it.
"""
