"""From the calibrated graph to ONNX: blocks of 64 steps, word movement, layer operators, decoding, schedules."""
