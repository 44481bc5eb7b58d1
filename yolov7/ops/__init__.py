"""Pure functions on boxes: geometry and non-maximum suppression."""
