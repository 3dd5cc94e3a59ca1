"""The network of `snnc demo`: three convolutions and a linear layer on 8x8 digits (examples/digits trains it)."""
