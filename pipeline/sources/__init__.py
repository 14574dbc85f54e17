"""Sources of audio: microphone, files, standard input, calls."""
