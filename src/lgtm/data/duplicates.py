"""When two texts are the same, and when nearly the same."""

import re
import unicodedata
import zlib
from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd

SHINGLE = 5  # letters in a piece
LETTERS = 10_000  # of a longer text, only the first so many are compared
PERMUTATIONS = 128
BANDS = 16  # two texts with four fifths of their pieces in common agree in one of them with 95 % probability
THRESHOLD = 0.8  # shared pieces, as a part of all pieces of the two texts, from which they are nearly the same


def normalise(text: str) -> str:
    """A text without differences of case, of white space, and of how Unicode writes a letter and its accent."""
    return " ".join(unicodedata.normalize("NFC", text.casefold()).split())


def text_key(frame: pd.DataFrame) -> pd.Series:
    """What two rows of the same text share: the normalised text, or both texts of a pair, in either order."""
    keys = frame["text"].map(normalise)
    if "text_pair" not in frame:
        return keys
    others = frame["text_pair"].map(normalise)
    swapped = keys > others
    # The unit separator counts as white space, so it cannot occur in either text.
    return keys.mask(swapped, others) + "\x1f" + others.mask(swapped, keys)


def text_hashes(texts: Iterable[str]) -> np.ndarray:
    """64-bit hashes of texts (N): of 10⁷ different ones, two have one hash with a probability of 10⁻⁵."""
    # Half a character, which is in no text of a task, may stand in a file of answers.
    return pd.util.hash_array(
        np.array([text.encode("utf-8", "surrogatepass") for text in texts], object), categorize=False
    )


class Met:
    """Texts that were met before, as hashes: 8 bytes a text, and a false one hardly ever.

    In sorted runs, each longer than the next: N texts, some at a time, take N log N steps in all.
    """

    def __init__(self, keys: pd.Series):
        self.runs: list[np.ndarray] = []
        self.add(keys)

    def of(self, keys: pd.Series) -> np.ndarray:
        """Which of these were met before: N booleans."""
        hashes = text_hashes(keys)
        found = np.zeros(len(hashes), bool)
        for run in self.runs:
            found |= run.take(np.searchsorted(run, hashes), mode="clip") == hashes
        return found

    def add(self, keys: pd.Series) -> None:
        """Meet these."""
        if len(keys):
            self.runs.append(np.unique(text_hashes(keys)))
        while len(self.runs) > 1 and len(self.runs[-1]) >= len(self.runs[-2]):
            both = np.concatenate([self.runs.pop(), self.runs.pop()])
            both.sort(kind="stable")  # which merges what is sorted
            self.runs.append(both)


def near_duplicates(roles: dict[str, pd.DataFrame]) -> dict[str, int]:
    """How many rows of each role but the last are nearly the same as a row of another role.

    roles: tables with text and [text_pair], the last one the role to learn from. Nearly the same: without case,
    punctuation and the order of a pair, THRESHOLD of their pieces of SHINGLE letters in common; in a pair, of either
    text's. Estimated by MinHash (datasketch, Broder 1997): a row is held against one row of each other role in each
    of its BANDS buckets, so the time grows with the rows alone, and a few near-duplicates may be missed.
    """
    rows = pd.concat(roles.values(), keys=range(len(roles)), names=["role"])
    role = rows.index.get_level_values("role").to_numpy()
    columns = [column for column in ("text", "text_pair") if column in rows]
    words = np.sort(np.stack([rows[column].map(_words).to_numpy(object) for column in columns], axis=1), axis=1)
    numbers, distinct = pd.factorize(words.ravel())
    found = _met_elsewhere(_sketches(distinct), numbers.reshape(words.shape), role)
    return {name: int(found[role == index].sum()) for index, name in enumerate(list(roles)[:-1])}


def _words(text: str) -> str:
    text = normalise(text[:LETTERS])
    return " ".join(re.findall(r"\w+", text)) or text


def _pieces(text: str) -> Iterator[bytes]:
    return (text[start : start + SHINGLE].encode() for start in range(max(1, len(text) - SHINGLE + 1)))


def _sketches(texts: np.ndarray) -> np.ndarray:
    """The MinHash of every text: texts × PERMUTATIONS. The part in which two agree estimates the pieces they share."""
    from datasketch import MinHash

    sketches = np.empty((len(texts), PERMUTATIONS), np.uint32)
    hashed = MinHash.generator(map(_pieces, texts), num_perm=PERMUTATIONS, seed=0, hashfunc=zlib.crc32)
    for row, minhash in enumerate(hashed):
        sketches[row] = minhash.hashvalues
    return sketches


def _met_elsewhere(sketches: np.ndarray, texts: np.ndarray, role: np.ndarray) -> np.ndarray:
    """Which rows, of all roles but the last, have a near-duplicate in another role.

    texts: rows × texts of a row, as indices of sketches.
    """
    found, asking = np.zeros(len(role), bool), role < role.max()
    for band in np.split(sketches, BANDS, axis=1):
        mix = np.random.default_rng(0).integers(2**63, size=(texts.shape[1], band.shape[1]), dtype=np.uint64)
        bucket = pd.factorize((band[texts] * mix).sum(axis=(1, 2)))[0]
        for other in np.unique(role):
            members = np.flatnonzero(role == other)[::-1]
            first = np.full(bucket.max() + 1, -1)
            first[bucket[members]] = members
            ask = np.flatnonzero(asking & ~found & (role != other) & (first[bucket] >= 0))
            agreement = (sketches[texts[ask]] == sketches[texts[first[bucket[ask]]]]).mean(axis=2).min(axis=1)
            found[ask] = agreement >= THRESHOLD
    return found
