"""What a pickle would do, counted step by step before it does it: small programs can ask for gigabytes and hours.

The limits are on what the machine of `pickle` does in one piece, where nobody can stop it: making lists, and hashing a
dict's keys. Tuples that name one another through the memory stand for twice as many with every few bytes, and a deep
one ends the process that hashes it.
"""

import pickle
import pickletools
from typing import NamedTuple

_MOST_LEVELS = 100  # of tuples in tuples; arrays take three
_REMEMBERING = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
_RECALLING = frozenset({"GET", "BINGET", "LONG_BINGET"})
_FILLING = frozenset({"APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS"})
_NESTING = frozenset({"TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "FROZENSET"})


class _Thing(NamedTuple):
    """What lies on the machine's stack: how many parts it has when all of it is written out, and how deep they lie."""

    num_parts: int
    num_levels: int


_PLAIN, _DICT = _Thing(1, 0), _Thing(1, -1)  # neither list nor dict is hashed, so that what they hold does not count
_MADE = {"EMPTY_DICT": _DICT, "DICT": _DICT}


class _Effect(NamedTuple):
    """How a step changes the stack."""

    to_mark: bool
    num_taken: int
    num_left: int


def _effect(step: pickletools.OpcodeInfo) -> _Effect:
    to_mark = pickletools.stackslice in step.stack_before
    taken = step.stack_before[: step.stack_before.index(pickletools.markobject)] if to_mark else step.stack_before
    return _Effect(to_mark, len(taken), len(step.stack_after))


_EFFECTS = {step.name: _effect(step) for step in pickletools.opcodes}
_PUSHED = {name: _MADE.get(name, _PLAIN) for name, effect in _EFFECTS.items()
           if effect == _Effect(False, 0, 1) and name not in _RECALLING | {"MARK"}}  # fmt: skip


def check_program(data: bytes, most_steps: int) -> None:
    """Hold a pickle to what picklers write.

    Args:
        data: the pickle.
        most_steps: how long it may be, and of how many parts what it names again.

    Raises:
        pickle.UnpicklingError: it is longer, remembers at odd places, nests or repeats tuples, or fills no dict.
        ValueError, IndexError: it is damaged.
    """
    machine = _Machine(most_steps)
    for steps, (step, argument, _) in enumerate(pickletools.genops(data), 1):
        if steps > most_steps:
            raise pickle.UnpicklingError(f"more than {most_steps} steps in {len(data)} bytes: refused")
        if step.name in _REMEMBERING and not (isinstance(argument, int) and 0 <= argument <= steps):
            raise pickle.UnpicklingError(f"it remembers something at place {argument} in step {steps}: refused")
        machine.do(step.name, argument)


class _Machine:
    """The stack and the memory of `pickle`, without what they hold."""

    def __init__(self, most_parts: int) -> None:
        self._parts_left = most_parts
        self._stack: list[_Thing] = []
        self._marks: list[int] = []
        self._memory: dict[int, _Thing] = {}  # what is neither plain nor missing
        self._num_memoized = 0
        self._names_places = False

    def do(self, name: str, argument: object) -> None:
        """One step."""
        if name in _PUSHED:
            self._stack.append(_PUSHED[name])
        elif name in _REMEMBERING:
            self._names_places = True
            self._remember(argument)
        elif name == "MEMOIZE":
            self._remember(self._num_memoized)
            self._num_memoized += 1
        elif name in _RECALLING:
            self._recall(argument)
        elif name == "MARK":
            self._marks.append(len(self._stack))
        elif name == "POP" and self._marks and self._marks[-1] == len(self._stack):
            self._marks.pop()
        elif name == "BUILD":  # which changes a thing and leaves it there
            self._stack.pop()
        elif name == "DUP":
            raise pickle.UnpicklingError("it doubles a thing, which no pickler does: refused")
        else:
            self._change(name)

    def _remember(self, place: object) -> None:
        assert isinstance(place, int)
        if self._names_places and self._num_memoized:
            raise pickle.UnpicklingError("it counts places and names them, which no pickler does: refused")
        if self._stack[-1] is _PLAIN:
            self._memory.pop(place, None)
        else:
            self._memory[place] = self._stack[-1]

    def _recall(self, place: object) -> None:
        assert isinstance(place, int)
        thing = self._memory.get(place, _PLAIN)
        self._parts_left -= thing.num_parts - 1
        if self._parts_left < 0:
            raise pickle.UnpicklingError("its tuples name one another too often: refused")
        self._stack.append(thing)

    def _change(self, name: str) -> None:
        effect = _EFFECTS[name]
        start = self._marks.pop() if effect.to_mark else len(self._stack)
        if (start := start - effect.num_taken) < 0:
            raise IndexError("it takes more than is there")
        if name in _FILLING:
            if name in ("SETITEM", "SETITEMS") and self._stack[start] is not _DICT:
                raise pickle.UnpicklingError("it fills what is no dict: refused")
            del self._stack[start + 1 :]
            return
        thing = _nested(self._stack[start:]) if name in _NESTING else _MADE.get(name, _PLAIN)
        del self._stack[start:]
        self._stack += [thing] * effect.num_left


def _nested(things: list[_Thing]) -> _Thing:
    num_levels = 1 + max((thing.num_levels for thing in things), default=0)
    if num_levels > _MOST_LEVELS:
        raise pickle.UnpicklingError(f"more than {_MOST_LEVELS} tuples in one another: refused")
    return _Thing(1 + sum(thing.num_parts for thing in things), num_levels)
