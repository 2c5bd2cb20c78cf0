"""The simulated ksmd, and what its work is worth."""
