"""This machine's own KSM: programs offered to it, its ksmd driven, timed, watched."""
