"""What another distribution can add to snnc (docs/plugins.md): one file for each thing."""
