"""Parts of speech models on torch that several of them are built of."""
