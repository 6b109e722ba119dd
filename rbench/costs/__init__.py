"""What evaluations cost before they are run: passes on paper, seconds from timed batches."""
