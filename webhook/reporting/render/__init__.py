"""A report as people and programs read it: one module an output, all of them functions of the one report."""
