"""Systems under test: our pipeline in this process, scripted stand-ins, other programs and servers, recorded logs."""
