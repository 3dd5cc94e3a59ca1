"""The versions that converted files are written in, and the length of a block."""

DOMAIN = "ai.snnc"
DOMAIN_VERSION = 2
OPSET = 18
IR_VERSION = 9
BLOCK_STEPS = 64
