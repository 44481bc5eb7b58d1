"""Small helpers that know nothing of detection or of distributed ranks."""
