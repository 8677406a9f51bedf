"""Finds faces and five points on each, frame by frame.

Now and then all three networks of MTCNN search the whole frame; in between
the last one alone follows the faces, which is about ten times as fast.

Authors
 * avsep_sb contributors
"""

from collections import deque, namedtuple

import cv2
import numpy as np
import torch

from avsep_sb.vision import mtcnn
from avsep_sb.vision.tracks import overlap

_GREY = 128  # what the networks see beyond the edges
_BATCHES = (1, 2, 3, 4, 6, 8, 16, 24, 32)

Face = namedtuple("Face", ["score", "box", "points"])
Face.__doc__ = """One face in one frame.

Score in 0..1, box float32 [4] (left, top, right, bottom), and points float32
[5, 2] (left eye, right eye, nose, left and right mouth corner as seen in the
picture), in pixels.
"""


class FaceDetector:
    """MTCNN: detects faces, and follows known ones with its last network.

    Arguments
    ---------
    min_face : float
        Smallest face side that is found, in pixels of the working frame.
    working_side : int
        Frames are reduced until their shorter side is at most this; points
        and boxes are reported in pixels of the frame as given.
    thresholds : tuple
        Least scores of the three networks in a detection.
    keep_threshold : float
        Least score that keeps a face which is followed; lower, since that a
        face was just there is evidence too.
    device : str or torch.device
        Where the networks run.

    Example
    -------
    >>> detector = FaceDetector()
    >>> detector.detect(np.zeros((120, 160, 3), np.uint8))
    []
    """

    def __init__(
        self,
        min_face=40.0,
        working_side=480,
        thresholds=(0.6, 0.7, 0.7),
        keep_threshold=0.5,
        device="cpu",
    ):
        self.min_face = min_face
        self.working_side = working_side
        self.thresholds = thresholds
        self.keep_threshold = keep_threshold
        self.device = torch.device(device)
        self.weights = {
            name: [w.to(self.device) for w in weights]
            for name, weights in mtcnn.read_weights().items()
        }

    @torch.no_grad()
    def detect(self, frame):
        """Finds all faces of a frame.

        Arguments
        ---------
        frame : np.ndarray
            uint8 [H, W, 3], RGB.

        Returns
        -------
        list of Face
            Best score first.
        """
        boxes = self._propose(frame)
        if len(boxes):
            boxes = self._screen(frame, boxes)
        return self._finish(frame, boxes, self.thresholds[2])

    @torch.no_grad()
    def follow(self, frame, faces):
        """Finds faces again that were seen in the frame before.

        Arguments
        ---------
        frame : np.ndarray
            uint8 [H, W, 3], RGB.
        faces : list of Face
            Faces of the frame before.

        Returns
        -------
        list of Face
            Those still there; two that have become one are reported once.
        """
        if not faces:
            return []
        boxes = np.stack([face.box for face in faces])
        return self._finish(frame, _square(boxes), self.keep_threshold)

    def _tensor(self, images):
        """uint8 [N, H, W, 3] as the networks want it, [N, 3, H, W]."""
        # The channels stay last in memory: pooling is then much faster.
        images = torch.from_numpy(images).to(self.device).permute(0, 3, 1, 2)
        return (images.float() - 127.5) / 128.0

    def _run(self, network, name, patches):
        """Results of a network for any number of patches.

        For each size of a batch the library keeps a plan of its own, which
        takes long and half a megabyte to make: only a few sizes are used.
        """
        parts = []
        for begin in range(0, len(patches), _BATCHES[-1]):
            part = patches[begin : begin + _BATCHES[-1]]
            size = next(size for size in _BATCHES if size >= len(part))
            batch = np.zeros((size, *part.shape[1:]), np.uint8)
            batch[: len(part)] = part
            results = network(self.weights[name], self._tensor(batch))
            parts.append([r[: len(part)].cpu().numpy() for r in results])
        return [np.concatenate(result) for result in zip(*parts, strict=True)]

    def _propose(self, frame):
        """First network, on a pyramid: coarse boxes."""
        height, width = frame.shape[:2]
        scale = min(1.0, self.working_side / min(height, width))
        scale *= 12.0 / self.min_face
        image, found = frame, []
        while min(height, width) * scale >= 12:
            size = (int(np.ceil(width * scale)), int(np.ceil(height * scale)))
            # Each step starts at the one before, which has fewer pixels.
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
            shift, score = mtcnn.propose(
                self.weights["pnet"], self._tensor(image[None])
            )
            shift, score = shift[0].cpu().numpy(), score[0].cpu().numpy()
            y, x = np.nonzero(score >= self.thresholds[0])
            if len(x):
                # Each output cell saw 12 x 12 pixels at a stride of 2.
                corner = np.stack([x, y], 1) * 2.0 + 1
                box = np.concatenate([corner, corner + 11], 1) / scale
                box += shift[:, y, x].T * _sides(box)
                keep = _suppress(box, score[y, x], 0.5)
                found.append((box[keep], score[y, x][keep]))
            scale *= 0.709  # halves the area
        if not found:
            return np.zeros((0, 4))
        boxes, scores = map(np.concatenate, zip(*found, strict=True))
        return _square(boxes[_suppress(boxes, scores, 0.7)])

    def _screen(self, frame, boxes):
        """Second network: rejects most boxes, corrects the others."""
        patches, boxes = _crop(frame, boxes, 24)
        shift, score = self._run(mtcnn.screen, "rnet", patches)
        keep = score >= self.thresholds[1]
        boxes, score, shift = boxes[keep], score[keep], shift[keep]
        if not len(boxes):
            return boxes
        boxes = boxes + shift * _sides(boxes)
        return _square(boxes[_suppress(boxes, score, 0.7)])

    def _finish(self, frame, boxes, threshold):
        """Third network: final boxes, scores and the five points."""
        if not len(boxes):
            return []
        patches, boxes = _crop(frame, boxes, 48)
        shift, points, score = self._run(mtcnn.finish, "onet", patches)
        keep = score >= threshold
        boxes, points, shift = boxes[keep], points[keep], shift[keep]
        score, sides = score[keep], _sides(boxes)
        points = points.reshape(-1, 2, 5).transpose(0, 2, 1)
        points = boxes[:, None, :2] + points * sides[:, None, :2]
        boxes = boxes + shift * sides
        return [
            Face(
                float(score[k]),
                boxes[k].astype(np.float32),
                points[k].astype(np.float32),
            )
            for k in _suppress_smaller(boxes, score, 0.7)
        ]


def find_faces(frames, detector=None, every=8, sure=0.7):
    """Faces of each frame of a video: detected now and then, else followed.

    Arguments
    ---------
    frames : iterable of np.ndarray
        uint8 [H, W, 3], RGB; read once, one at a time.
    detector : FaceDetector or None
        None makes one with its defaults.
    every : int
        A full detection each so many frames. It comes earlier where there
        are fewer faces than in one of the last ``every`` frames.
    sure : float
        A followed face of this score stays even if a detection misses it.

    Yields
    ------
    list of Face
        One list for each frame.

    Example
    -------
    >>> list(find_faces([np.zeros((60, 60, 3), np.uint8)] * 2))
    [[], []]
    """
    finder = FaceFinder(detector, every, sure)
    for frame in frames:
        yield finder.step(frame)


class FaceFinder:
    """Detects faces now and then and follows them in between.

    Arguments
    ---------
    detector : FaceDetector or None
        None makes one with its defaults.
    every : int
        A full detection each so many frames. It comes earlier where there
        are fewer faces than in one of the last ``every`` frames.
    sure : float
        A followed face of this score stays even if a detection misses it.

    Example
    -------
    >>> FaceFinder().step(np.zeros((60, 60, 3), np.uint8), cut=True)
    []
    """

    def __init__(self, detector=None, every=8, sure=0.7):
        self.detector = detector or FaceDetector()
        self.every, self.sure = every, sure
        self.faces, self.counts = [], deque(maxlen=every)
        self.index, self.after_cut = 0, False

    def step(self, frame, cut=False):
        """Finds the faces of the next frame.

        Arguments
        ---------
        frame : np.ndarray
            uint8 [H, W, 3], RGB.
        cut : bool
            Whether a shot begins here: then nothing is followed, and faces
            that the first frame hides are sought again soon.

        Returns
        -------
        list of Face
            In no order.
        """
        if cut:
            self.faces, self.index, self.after_cut = [], 0, True
            self.counts.clear()
        faces = self.detector.follow(frame, self.faces) if self.faces else []
        soon = self.after_cut and self.index in (2, 4)
        if (
            self.index % self.every == 0
            or soon
            or len(faces) < max(self.counts)
        ):
            known, faces = faces, self.detector.detect(frame)
            boxes = np.array([f.box for f in faces]).reshape(-1, 4)
            faces += [
                face
                for face in known
                if face.score >= self.sure
                and (overlap(face.box[None], boxes) < 0.3).all()
            ]
        self.counts.append(len(faces))
        self.index += 1
        self.faces = faces
        return faces


def _sides(boxes):
    """Width, height, width, height of each box."""
    return np.tile(boxes[:, 2:] - boxes[:, :2], 2)


def _square(boxes):
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).max(1, keepdims=True) / 2
    return np.concatenate([centre - half, centre + half], 1)


def _crop(frame, boxes, size):
    """Cuts square boxes out of a frame; grey beyond its edges.

    Returns the patches, uint8 [N, size, size, 3], and the boxes that were
    cut: those given, moved to whole pixels.
    """
    whole = np.array(frame.shape[1::-1])
    low = np.round(boxes[:, :2]).astype(int)
    side = np.round(boxes[:, 2] - boxes[:, 0]).astype(int).clip(1)[:, None]
    cut = np.concatenate([low, low + side], 1)
    patches = np.empty((len(boxes), size, size, 3), np.uint8)
    for patch, (left, top, right, bottom) in zip(patches, cut, strict=True):
        x, y = np.clip([[left, right], [top, bottom]], 0, whole[:, None])
        part = frame[y[0] : y[1], x[0] : x[1]]
        if not part.size:
            patch[:] = _GREY
            continue
        beyond = (y[0] - top, bottom - y[1], x[0] - left, right - x[1])
        if any(beyond):
            part = cv2.copyMakeBorder(
                part, *beyond, cv2.BORDER_CONSTANT, value=(_GREY,) * 3
            )
        way = cv2.INTER_AREA if len(part) > size else cv2.INTER_LINEAR
        cv2.resize(part, (size, size), patch, interpolation=way)
    return patches, cut.astype(np.float64)


def _suppress(boxes, scores, threshold):
    """Non-maximum suppression; indices kept, best first."""
    corner = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1)
    return np.asarray(
        cv2.dnn.NMSBoxes(corner.tolist(), scores.tolist(), 0.0, threshold), int
    )


def _suppress_smaller(boxes, scores, threshold):
    """The same, where what counts is how much of the smaller is covered."""
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    order, keep = np.argsort(-scores, kind="stable"), []
    while len(order):
        best, order = order[0], order[1:]
        keep.append(best)
        low = np.maximum(boxes[best, :2], boxes[order, :2])
        high = np.minimum(boxes[best, 2:], boxes[order, 2:])
        common = np.prod(np.clip(high - low, 0, None), axis=1)
        smaller = np.minimum(area[best], area[order])
        order = order[common <= threshold * smaller]
    return keep
