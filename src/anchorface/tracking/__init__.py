"""Picture or video -> FaceTrack: landmarks, then one joint fit over the clip."""
