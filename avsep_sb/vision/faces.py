"""Finds faces and five points on each, frame by frame.

Now and then all three networks of MTCNN search the whole frame; in between
the last one alone follows the faces, which is six times as fast.

Authors
 * avsep_sb contributors
"""

from collections import deque, namedtuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from avsep_sb.vision import mtcnn
from avsep_sb.vision.tracks import overlap

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
        frame, scale = self._working_frame(frame)
        image = self._tensor(frame)
        boxes = self._propose(image)
        if len(boxes):
            boxes = self._screen(image, boxes)
        if not len(boxes):
            return []
        patches = _crop(image, boxes, 48)
        return self._finish(patches, boxes, scale, self.thresholds[2])

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
        frame, scale = self._working_frame(frame)
        boxes = torch.as_tensor(np.stack([face.box for face in faces]))
        boxes = _square(boxes.to(self.device, torch.float32) * scale)
        patches = torch.cat([self._patch(frame, box) for box in boxes])
        return self._finish(patches, boxes, scale, self.keep_threshold)

    def _working_frame(self, frame):
        """The frame as small as it may be, and its scale."""
        height, width = frame.shape[:2]
        scale = min(1.0, self.working_side / min(height, width))
        if scale < 1.0:
            size = (round(width * scale), round(height * scale))
            frame = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
        return frame, scale

    def _tensor(self, image):
        image = torch.from_numpy(image.transpose(2, 0, 1)[None].copy())
        return (image.to(self.device).float() - 127.5) / 128.0

    def _patch(self, frame, box):
        """What the third network sees of one box: its surroundings alone
        are converted, which is most of the time of following."""
        size = np.array(frame.shape[1::-1])
        edges = box.cpu().numpy()
        low = np.clip(np.floor(edges[:2]) - 2, 0, size - 1).astype(int)
        high = np.clip(np.ceil(edges[2:]) + 3, low + 1, size).astype(int)
        image = self._tensor(frame[low[1] : high[1], low[0] : high[0]])
        corner = torch.as_tensor(np.tile(low, 2)).to(box)
        return _crop(image, (box - corner)[None], 48)

    def _propose(self, image):
        """First network, on a pyramid: coarse boxes."""
        height, width = image.shape[2:]
        scale, boxes, scores = 12.0 / self.min_face, [], []
        while min(height, width) * scale >= 12:
            size = (int(np.ceil(height * scale)), int(np.ceil(width * scale)))
            shift, score = mtcnn.propose(
                self.weights["pnet"], F.interpolate(image, size, mode="area")
            )
            y, x = torch.nonzero(score[0] >= self.thresholds[0], as_tuple=True)
            if len(x):
                # Each output cell saw 12 x 12 pixels at a stride of 2.
                corner = torch.stack([x, y], 1).float() * 2 + 1
                box = torch.cat([corner, corner + 11], 1) / scale
                box = box + shift[0, :, y, x].T * _sides(box)
                keep = _suppress(box, score[0, y, x], 0.5)
                boxes.append(box[keep])
                scores.append(score[0, y, x][keep])
            scale *= 0.709  # halves the area
        if not boxes:
            return image.new_zeros(0, 4)
        boxes, scores = torch.cat(boxes), torch.cat(scores)
        return _square(boxes[_suppress(boxes, scores, 0.7)])

    def _screen(self, image, boxes):
        """Second network: rejects most boxes, corrects the others."""
        shift, score = mtcnn.screen(
            self.weights["rnet"], _crop(image, boxes, 24)
        )
        keep = score >= self.thresholds[1]
        boxes, score, shift = boxes[keep], score[keep], shift[keep]
        if not len(boxes):
            return boxes
        boxes = boxes + shift * _sides(boxes)
        return _square(boxes[_suppress(boxes, score, 0.7)])

    def _finish(self, patches, boxes, scale, threshold):
        """Third network: final boxes, scores and the five points."""
        shift, points, score = mtcnn.finish(self.weights["onet"], patches)
        sides = _sides(boxes)
        points = torch.stack(
            [
                boxes[:, :1] + points[:, :5] * sides[:, :1],
                boxes[:, 1:2] + points[:, 5:] * sides[:, 1:2],
            ],
            -1,
        )
        boxes = boxes + shift * sides
        keep = score >= threshold
        boxes, points, score = boxes[keep], points[keep], score[keep]
        if not len(boxes):
            return []
        keep = _suppress(boxes, score, 0.7, of_smaller=True)
        return [
            Face(
                float(score[i]),
                (boxes[i] / scale).cpu().numpy(),
                (points[i] / scale).cpu().numpy(),
            )
            for i in keep
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
    return (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)


def _square(boxes):
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).amax(1, keepdim=True) / 2
    return torch.cat([centre - half, centre + half], 1)


def _crop(image, boxes, size):
    """Cuts boxes out of an image; grey beyond its edges."""
    height, width = image.shape[2:]
    step = (torch.arange(size, device=image.device) + 0.5) / size
    x = boxes[:, None, 0] + step * (boxes[:, None, 2] - boxes[:, None, 0])
    y = boxes[:, None, 1] + step * (boxes[:, None, 3] - boxes[:, None, 1])
    shape = (len(boxes), size, size)
    grid = torch.stack(
        [
            (x / width * 2 - 1)[:, None].expand(shape),
            (y / height * 2 - 1)[:, :, None].expand(shape),
        ],
        -1,
    )
    image = image.expand(len(boxes), -1, -1, -1)
    return F.grid_sample(image, grid, align_corners=False)


def _suppress(boxes, scores, threshold, of_smaller=False):
    """Non-maximum suppression; indices kept, best first."""
    boxes = boxes.cpu().numpy()
    order = np.argsort(-scores.cpu().numpy(), kind="stable")
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    keep = []
    while len(order):
        best, order = order[0], order[1:]
        keep.append(best)
        low = np.maximum(boxes[best, :2], boxes[order, :2])
        high = np.minimum(boxes[best, 2:], boxes[order, 2:])
        common = np.prod(np.clip(high - low, 0, None), axis=1)
        if of_smaller:
            whole = np.minimum(area[best], area[order])
        else:
            whole = area[best] + area[order] - common
        order = order[common <= threshold * whole]
    return torch.as_tensor(np.array(keep, np.int64))
