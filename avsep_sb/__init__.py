"""Audio-visual speech separation for SpeechBrain: one clean voice per face.

Nothing heavy is imported here: ``import speechbrain`` alone costs seconds.

Authors
 * avsep_sb contributors
"""

__version__ = "0.1.0"
