"""Which rows are meant: `workload == "web*" and saved > 1GiB`; docs/expressions.md."""
