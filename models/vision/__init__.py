"""Reading what is written in pictures: slides, screens, films."""
