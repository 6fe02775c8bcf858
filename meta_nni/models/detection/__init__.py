"""One-stage object detectors whose parts are searched: `search_spaces/detection.json`.

An image goes through a backbone, a neck and a head; the head says for each *prior* - a place
and a size that it looks for boxes at - how likely each class is there and where the box is.
Boxes are x1, y1, x2, y2 in 0 .. 1 of the image's width and height everywhere. Importing this
package loads no TensorFlow.

Axes of arrays: N rows or B of a batch, M true boxes (padded), K predicted boxes (padded),
L priors, C classes, H height, W width.
"""

__all__: list[str] = []
