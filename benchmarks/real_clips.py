"""Makes test mixtures of real talking-face clips, for separation_report.py.

    python benchmarks/real_clips.py --clips DIR --out DIR
    python benchmarks/separation_report.py --av pretrained/iianet-synthav \
        --data OUT --manifests OUT/real.csv OUT/real_same.csv --out DIR

A clip named ``<speaker>_<utterance>`` belongs to that speaker, any other to a
speaker of its own. The mouths come from the project's own face pipeline;
``mouths.png`` shows them. All pairs of clips of different speakers are drawn
from by a seed, and likewise pairs of one speaker.

Authors
 * avsep_sb contributors
"""

import argparse
import itertools
import sys
from pathlib import Path

import numpy as np

from avsep_sb.dataio.audio import num_samples, read_audio
from avsep_sb.dataio.corpus_media import Video, extract_video, media_paths
from avsep_sb.dataio.grid_names import coded_sentence
from avsep_sb.dataio.lips import read_lips
from avsep_sb.dataio.manifest import write_manifest
from avsep_sb.dataio.scaling import active_rms
from avsep_sb.errors import DataError, VideoError, run_or_explain
from avsep_sb.vision.mouth import contact_sheet

# Names of single clips that the list of sources gives to a speaker.
KNOWN = {"bbaf2n": "s1", "pwij3p": "s2", "id2_vcd_swwp2s": "s2"}


def speaker_of(stem):
    """The speaker that a clip's name tells, or the clip itself."""
    if stem in KNOWN:
        return KNOWN[stem]
    return stem.split("_")[0] if "_" in stem else stem


def mixture(name, clips, rng, gain_db):
    """A manifest row of two clips at equal active level, +g and -g dB."""
    gains = rng.uniform(-gain_db, gain_db) * np.array([1.0, -1.0])
    row = {"ID": name, "mix_wav": ""}
    row["duration"] = min(clip["samples"] for clip in clips) / 16000
    for k, (clip, gain) in enumerate(zip(clips, gains, strict=True), start=1):
        row[f"s{k}_wav"] = f"$data_root/{clip['wav']}"
        row[f"s{k}_lips"] = f"$data_root/{clip['lips']}"
        row[f"s{k}_spk"] = clip["spk"]
        row[f"s{k}_text"] = coded_sentence(Path(clip["wav"]).stem) or ""
        row[f"s{k}_gain"] = float(0.05 / clip["rms"] * 10 ** (gain / 20))
    return row


def main(argv):
    """Extracts the clips and writes the two manifests."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--clips", required=True, help="folder of videos")
    parser.add_argument("--out", required=True)
    parser.add_argument("--mixtures", type=int, default=100)
    parser.add_argument("--leave-out", nargs="*", default=[], metavar="NAME")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    out = Path(args.out)
    clips = []
    for video in sorted(Path(args.clips).glob("*.mp*g*")):
        if video.stem in args.leave_out:
            continue
        try:
            wav, lips = extract(video, out)
        except (DataError, VideoError) as err:
            # Damaged clips are named, not scored.
            sys.stderr.write(f"left out: {err}\n")
            continue
        samples = num_samples(wav, 16000)
        clips.append(
            {
                "wav": wav.relative_to(out),
                "lips": lips.relative_to(out),
                "spk": speaker_of(video.stem),
                "samples": samples,
                "rms": active_rms(read_audio(wav, sample_rate=16000), 400),
            }
        )
    if len(clips) < 2:
        raise DataError(f"'{args.clips}' holds fewer than two clips.")
    rois = [read_lips(out / clip["lips"]) for clip in clips]
    shortest = min(map(len, rois))
    contact_sheet(np.stack([r[:shortest] for r in rois]), out / "mouths.png")
    pairs = list(itertools.combinations(clips, 2))
    for name, same in (("real", False), ("real_same", True)):
        rng = np.random.default_rng([args.seed, same])
        kept = [p for p in pairs if (p[0]["spk"] == p[1]["spk"]) == same]
        kept = [kept[i] for i in rng.permutation(len(kept))[: args.mixtures]]
        rows = [
            mixture(f"{name}{i:03d}", pair, rng, 2.5)
            for i, pair in enumerate(kept)
        ]
        write_manifest(out / f"{name}.csv", rows, 2)
    return 0


def extract(video, out):
    """Audio and mouth ROI of one clip, extracted once."""
    paths = media_paths(out, video.stem)
    if not paths["wav"].is_file():
        extract_video(Video(video.stem, video), out)
    return paths["wav"], paths["lips"]


if __name__ == "__main__":
    sys.exit(run_or_explain(main, sys.argv[1:]))
