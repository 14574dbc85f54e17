"""Our pipeline inside the field's evaluators: each in an environment of its own, outside `make test`."""
