"""The passes of the compiler, one file each. `snnc.pipeline` lists them in order."""
