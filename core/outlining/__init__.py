"""Propose the outline of a lesion: one segmentation network, from its recipe to its proposals.

``proposal`` is what a page calls; ``python -m core.outlining`` trains and judges the network.
"""
