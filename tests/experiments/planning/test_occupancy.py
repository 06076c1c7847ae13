"""Memory of a step by category: what the compiler says, and what it says when there is too little."""

from experiments.planning.occupancy import Occupancy, too_large

GIB = 2**30


def test_the_compiler_says_how_much_it_wants() -> None:
    new = (
        "RESOURCE_EXHAUSTED: E1000: CompileTimeHbmOom: Ran out of memory on HBM, the total memory required for HLO "
        "temporaries (24.79G) exceeds available HBM (15.75G). HLO module: jit_step."
    )
    old = (
        "RESOURCE_EXHAUSTED: XLA:TPU compile permanent error. Ran out of memory in memory space hbm. Used 900.50M of "
        "15.75G hbm. Exceeded hbm capacity by 1.2G."
    )
    assert too_large(RuntimeError(new)) == int(24.79 * GIB)
    assert too_large(RuntimeError(old)) == int(900.5 * 2**20)
    assert too_large(RuntimeError("RESOURCE_EXHAUSTED: no more file handles")) is None
    assert too_large(RuntimeError("INTERNAL: (24.79G)")) is None


def test_it_fits_when_something_is_left() -> None:
    held = Occupancy(16 * GIB, GIB, 2 * GIB, 0, 1, 5 * GIB, GIB, 15 * GIB)
    assert (held.used, held.margin, held.fits) == (16 * GIB, 0, True)
    assert not Occupancy(16 * GIB - 1, GIB, 2 * GIB, 0, 1, 5 * GIB, GIB, 15 * GIB).fits
    # What the compiler had no room for does not fit, whatever it asked for.
    assert not Occupancy(16 * GIB, GIB, 2 * GIB, 0, 1, 5 * GIB, 0, GIB, planned=False).fits
    assert held.as_dict()["margin"] == 0
