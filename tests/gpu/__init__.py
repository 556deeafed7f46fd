"""What needs a GPU: `python -m gpu` checks and times the schedule family `hwnc_sm90`."""
