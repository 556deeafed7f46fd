"""The proof on a real sentence encoder: embeddings of two hundred sentences, in float32 and converted."""
