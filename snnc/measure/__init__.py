"""What is said of a network: evaluation, quality, operations, benchmarks, tables and plots."""
