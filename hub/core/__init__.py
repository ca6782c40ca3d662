"""The rules of Bellwire, free of I/O, clocks and frameworks."""
