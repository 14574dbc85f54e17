"""VoxCPM2: streamed speech at 48 kHz without codes, in enrolled voices or one that it makes up, in thirty languages."""

from models.tts.voxcpm.backend import VoxCPM

__all__ = ["VoxCPM"]
