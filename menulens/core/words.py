"""Short texts in a large one, taken up eight bytes at a time: compared, told apart and looked up in columns.

A column is an array with an entry for each of many lines; a text's words are a list of such columns, the first eight
bytes of every text in the first of them. Where a text ends within a word, zeros follow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64]
Bits = npt.NDArray[np.uint64]
Bytes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]

WORD = 8
_MASKS = np.array([(1 << 8 * size) - 1 for size in range(WORD + 1)], np.uint64)
_ONES = 0x0101_0101_0101_0101
_LOW_BITS = np.uint64(0x7F * _ONES)
_HIGH_NIBBLES = np.uint64(0xF0 * _ONES)
_LOW_NIBBLES = np.uint64(0x0F * _ONES)
_SIXES = np.uint64(0x06 * _ONES)
_ZERO_DIGITS = np.uint64(0x30 * _ONES)
_DOT_TO_ZERO = np.uint64(ord(".") ^ ord("0"))
_ONE, _SEVEN, _EIGHT, _FULL = np.uint64(1), np.uint64(7), np.uint64(8), np.uint64(64)
_BYTE, _DOT, _ZERO = np.uint64(0xFF), np.uint64(ord(".")), np.uint64(ord("0"))
_LITERALS = tuple(np.uint64(int.from_bytes(word, "little")) for word in (b"true", b"false", b"null"))
_LONGEST_NUMBER = 32
_STRIDE = 8  # words that are hashed in one go
_HALF = np.uint64(32)
_MIX = np.uint64(0xD6E8_FEB8_6659_FD93)
_GOLDEN = 0x9E37_79B9_7F4A_7C15


def _factor(place: int) -> np.uint64:
    """Return an odd number that differs from word to word, so that their order counts."""
    return np.uint64(pow(_GOLDEN, 2 * place + 1, 1 << 64))


_FACTORS = [_factor(place) for place in range(_STRIDE)]


def as_words(text: bytes) -> Bits:
    """Return a text as words; what is left behind the last whole word is not seen."""
    return np.frombuffer(text, "<u8", len(text) // WORD)


def constant(text: bytes) -> list[tuple[np.uint64, np.uint64]]:
    """Return a text's words, each with the bits of it that count."""
    pieces = [text[at : at + WORD] for at in range(0, len(text), WORD)]
    return [(np.uint64(int.from_bytes(piece, "little")), _MASKS[len(piece)]) for piece in pieces]


def gather(text: Bits, start: Numbers, count: int) -> Iterator[Bits]:
    """Give, for each of ``count`` words, what stands there behind every start; past the text's end, anything."""
    place = start >> 3
    shift = ((start & 7) << 3).astype(np.uint64)
    back = _FULL - shift
    here = text.take(place, mode="clip")
    for further in range(1, count + 1):
        after = text[min(further, len(text) - 1) :].take(place, mode="clip")
        yield (here >> shift) | (after << back)  # by 64 bits gives 0, as numpy defines it
        here = after


def words_of(text: Bits, start: Numbers, size: Numbers, count: int) -> list[Bits]:
    """Return the first ``count`` words of texts that start and are as long as told."""
    found = gather(text, start, count)
    return [word & _MASKS.take(size - WORD * place, mode="clip") for place, word in enumerate(found)]


def word_count(size: Numbers) -> int:
    """Return the words of the longest text."""
    return (int(size.max(initial=0)) + WORD - 1) // WORD


def mixed(words: list[Bits]) -> Bits:
    """Return 64 bits that hash each row of words; a word of zeros adds nothing."""
    total = np.zeros(len(words[0]), np.uint64)
    for word, factor in zip(words, _FACTORS, strict=False):
        product = word * factor
        product ^= product >> _HALF
        product *= _MIX
        total += product
    return total


def hashes(text: Bits, start: Numbers, size: Numbers) -> npt.NDArray[np.uint32]:
    """Return 32 bits that hash each text, the same wherever it stands."""
    total = _sums(text, start, size)
    total ^= total >> _HALF
    total *= _MIX
    return (total >> _HALF).astype(np.uint32)


def _sums(text: Bits, start: Numbers, size: Numbers) -> Bits:
    total = mixed(words_of(text, start, size, max(1, min(_STRIDE, word_count(size)))))
    more = np.flatnonzero(size > WORD * _STRIDE)
    if len(more):
        rest = _sums(text, start[more] + WORD * _STRIDE, size[more] - WORD * _STRIDE)
        total[more] += (rest ^ (rest >> _HALF)) * _factor(_STRIDE)
    return total


def _equal_bytes(word: Bits, byte: int) -> Bits:
    """Return words with the highest bit of every byte that equals the one given."""
    other = word ^ np.uint64(byte * _ONES)
    return ~(((other & _LOW_BITS) + _LOW_BITS) | other | _LOW_BITS)


def leading(text: Bits, start: Numbers, size: Numbers, end: int, most: int) -> tuple[Numbers, list[Bits]]:
    """Return the length and the words of what stands in each text before the first byte of a kind.

    The length is 0 where that is not found within ``most`` words; its words are of no use then.
    """
    length = np.zeros(len(start), np.int64)
    searching = np.ones(len(start), np.bool_)
    words: list[Bits] = []
    for word in gather(text, start, min(most, word_count(size))):
        words.append(word)
        marks = _equal_bytes(word, end)
        before = np.bitwise_count((marks - _ONE) & ~marks) >> 3  # 8 where there is none
        length += before * searching
        searching &= before == WORD
        if not searching.any():
            break
    length[searching | (length >= size)] = 0
    return length, [word & _MASKS.take(length - WORD * place, mode="clip") for place, word in enumerate(words)]


def are_literals(text: Bits, start: Numbers, size: Numbers) -> Flags:
    """Tell which texts are ``true``, ``false`` or ``null``."""
    (word,) = words_of(text, start, size, 1)
    found = np.zeros(len(word), np.bool_)
    for literal in _LITERALS:
        found |= word == literal
    return found & (size < WORD)


def are_numbers(text: Bits, start: Numbers, size: Numbers) -> Flags:
    """Tell which texts are JSON numbers without sign and exponent; very long ones are not recognised."""
    bad = np.zeros(len(start), np.uint64)
    dots = np.zeros(len(start), np.uint8)
    head = bad
    for place, word in enumerate(gather(text, start, min(_LONGEST_NUMBER // WORD, word_count(size)))):
        mask = _MASKS.take(size - WORD * place, mode="clip")
        filled = (word & mask) | (_ZERO_DIGITS & ~mask)
        if place == 0:
            head = filled
        marks = _equal_bytes(filled, ord("."))
        dots += np.bitwise_count(marks)
        digits = filled ^ ((marks >> _SEVEN) * _DOT_TO_ZERO)
        bad |= (digits & _HIGH_NIBBLES) ^ _ZERO_DIGITS
        bad |= ((digits & _LOW_NIBBLES) + _SIXES) & _HIGH_NIBBLES
    first, second = head & _BYTE, (head >> _EIGHT) & _BYTE
    last = byte_at(text, start + size - 1)
    good: Flags = (size > 0) & (size <= _LONGEST_NUMBER) & (bad == 0) & (dots <= 1)
    good &= (first != _DOT) & (last != _DOT)
    good &= (first != _ZERO) | (size == 1) | (second == _DOT)
    return good


def byte_at(text: Bits, place: Numbers) -> Bytes:
    """Return the bytes at the places given."""
    return text.view(np.uint8).take(place, mode="clip")


class Memo:
    """Small numbers known for texts, looked up for a column of them at once.

    Every byte of a text counts, so two texts are never taken for one; of two that fall on one place of the table, the
    first stays, and for the other its answer is asked for each time.

    Parameters
    ----------
    words
        Words of each text; a text holds no zero byte and is not empty.
    bits
        The table has two to the power of this many places.
    answers
        Is asked for what the table does not hold.
    """

    def __init__(self, words: int, bits: int, answers: Mapping[bytes, int]) -> None:
        self._texts = [np.zeros(1 << bits, np.uint64) for _ in range(words)]
        self._values = np.zeros(1 << bits, np.uint8)
        self._shift = np.uint64(64 - bits)
        self._answers = answers

    def look(self, words: list[Bits]) -> Bytes:
        """Return the number of each text."""
        hashed = mixed(words)
        place = (((hashed ^ (hashed >> _HALF)) * _MIX) >> self._shift).astype(np.int64)
        values = self._values.take(place)
        differs = np.zeros(len(place), np.uint64)
        for texts, word in zip(self._texts, words, strict=True):
            differs |= texts.take(place) ^ word
        missing = np.flatnonzero(differs)
        if len(missing):
            new = np.stack([word.take(missing) for word in words], axis=1)
            asked = new.view(f"S{WORD * len(words)}")[:, 0].tolist()  # numpy leaves out zeros at the end
            answers = np.fromiter(map(self._answers.__getitem__, asked), np.uint8, len(asked))
            values[missing] = answers
            # Each place once, so that all arrays hold the same text.
            places, chosen = np.unique(place.take(missing), return_index=True)
            free = self._texts[0].take(places) == 0
            places, chosen = places[free], chosen[free]
            for texts, column in zip(self._texts, new.T, strict=True):
                texts[places] = column.take(chosen)
            self._values[places] = answers.take(chosen)
        return values
