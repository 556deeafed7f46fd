"""The proof on real data: a small residual network on scikit-learn's digits, in low precision and without."""
