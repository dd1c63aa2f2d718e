"""Words near a word in a model's table of input embeddings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fewtune.models.vocabulary import Place, Vocabulary, are_forms, script

#: Least cosine. Of MiniLM: film for movie 0.71, terrible for bad 0.56, shattered for broken 0.547;
#: but good for bad 0.535, slowly for quickly 0.50, quiet for noise 0.47, valves for pump 0.35. What
#: is opposite and nearer than that stands in opposites.py.
FLOOR = 0.54
TOP = 10  # words for a place
AT_ONCE = 256  # words compared with the table in one product
_KEPT = (
    "a an the this that these those and or but nor so yet if unless because as than though "
    "although while when whenever where wherever after before until since of to in on at by for "
    "from with without into onto upon over under between through during about against among "
    "across along around above below beneath beside behind beyond near off out up down within "
    "throughout despite per via i me my mine myself you your yours yourself he him his himself "
    "she her hers herself it its itself we us our ours ourselves they them their theirs "
    "themselves who whom whose which what why how be am is are was were been being do does did "
    "done doing have has had having can could may might must shall should will would not no "
    "never none nobody nothing neither cannot ever always only all any both each every few many "
    "more most much other another same some such several here there now then again also too "
    "very just even still once twice one two three four five six seven eight nine ten eleven "
    "twelve dozen hundred thousand million billion first second third last half double"
)
#: Words that have only one another near: never is near ever, seven near six, the near of.
KEPT = frozenset(_KEPT.split())


class Neighbours:
    """The nearest whole words by cosine; of a word of several tokens, near their mean."""

    def __init__(self, table: np.ndarray, vocabulary: Vocabulary) -> None:
        """
        Args:
            table: (tokens, width) input embeddings.
            vocabulary: of the same model.
        """
        length = np.linalg.norm(table, axis=1, keepdims=True)
        self._unit = (table / np.maximum(length, 1e-9)).astype(np.float32)  # (tokens, width)
        self._vocabulary = vocabulary
        self._whole = np.array(sorted(vocabulary.words), dtype=np.int64)
        self._near: dict[str, dict[str, float]] = {}

    def words(self, places: Sequence[Place]) -> list[tuple[str, ...]]:
        """For each place the words near the one that stands there; its own forms (pumps for pump)
        only where there are no others.

        Where none stands, those near the words beside it: so does EDA's insertion, which puts a
        word's synonym elsewhere.
        """
        asked = [[place.word] if place.word else place.beside() for place in places]
        self._look_up(sorted({word for words in asked for word in words} - self._near.keys()))
        offers = []
        for place, words in zip(places, asked, strict=True):
            near = [pair for word in words for pair in self._near[word].items()]
            near.sort(key=lambda pair: -pair[1])
            found = place.offer([word for word, _ in near], len(near))
            new = [one for one in found if not any(are_forms(one, word) for word in words)]
            offers.append(tuple(new[:TOP]) or found[:TOP])
        return offers

    def _look_up(self, words: Sequence[str]) -> None:
        """Fill the memory for new words."""
        self._near |= {word: {} for word in words}
        ids = {word: self._vocabulary.ids(word) for word in words if script(word)}
        known = [word for word, own in ids.items() if own and word.casefold() not in KEPT]
        for start in range(0, len(known) if len(self._whole) else 0, AT_ONCE):
            chunk = known[start : start + AT_ONCE]
            means = np.stack([self._unit[ids[word]].mean(axis=0) for word in chunk])
            means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9)
            cosines = means @ self._unit[self._whole].T  # (words, whole words)
            for word, row in zip(chunk, cosines, strict=True):
                self._near[word] = self._kept(word, set(ids[word]), row)

    def _kept(self, word: str, own: set[int], cosines: np.ndarray) -> dict[str, float]:
        """Near enough, of the same script, and no piece of the word: gasket is made of gas."""
        near = np.flatnonzero(cosines >= FLOOR)
        found = {}
        for k in near[np.argsort(-cosines[near], kind="stable")]:
            number = int(self._whole[k])
            other = self._vocabulary.words[number]
            if number not in own and script(other) == script(word) and other.casefold() not in KEPT:
                found[other] = float(cosines[k])
        return found
