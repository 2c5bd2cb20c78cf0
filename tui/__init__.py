"""Looking at a result on a terminal screen, or at a replay as it runs."""
