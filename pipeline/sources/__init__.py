"""Sources of audio: microphone, files, standard input, a program that pushes."""
