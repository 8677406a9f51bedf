"""Plain implementations of the models' equations, the yardstick of speed.

Layer by layer as the papers describe them and with no thought of speed; they
take the state dicts of our lobes and give the same output.

Authors
 * avsep_sb contributors
"""
