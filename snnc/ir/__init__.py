"""What goes through the passes: the graph, the conversion, options, levels of legality."""
