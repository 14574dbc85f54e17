"""Profiles: YAML files that name the backends of each stage, and what a profile can do on this machine."""
