"""Gates: what a change may not make slower, and how that is told from noise.

See "Gates" in docs/performance.md.
"""
