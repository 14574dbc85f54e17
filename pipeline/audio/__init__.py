"""Audio devices and samples: streams, resampling, stretching, mixing."""
