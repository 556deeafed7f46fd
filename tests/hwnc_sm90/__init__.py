"""The schedule family `hwnc_sm90` without a GPU: its indices emulated, its barriers played, its code compiled."""
