"""FaceTrack -> condition maps -> features."""
