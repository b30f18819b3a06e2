from exporter.sources.blocks import Window
from exporter.sources.finality import Finality
from tests.sources.test_blocks import chain, made, window


def test_it_only_moves_up() -> None:
    found, known = Finality(), window(1, 20)
    for number, after in ((10, 10), (8, 10), (12, 12), (11, 12)):
        found.offer(made(number), known)
        assert found.newest == made(after)
    assert not found.violated


def test_what_does_not_fit_the_chain_is_not_taken() -> None:
    found, known = Finality(), window(10, 20)
    found.offer(made(10), Window())  # no chain is known yet
    found.offer(made(21), known)  # beyond the head
    found.offer(made(15, "b"), known)  # of another fork
    assert found.newest is None
    found.offer(made(5), known)  # below what is remembered
    assert found.newest == made(5)


def test_a_chain_that_breaks_its_word_is_shown_freezes_and_heals() -> None:
    found, known = Finality(), window(1, 20)
    found.offer(made(10), known)
    known.place([made(9, "b", parent="a8"), *chain(10, 22, "b")])
    found.recheck(known)
    assert found.violated
    found.offer(made(15, "b"), known)
    assert (found.newest, found.violated) == (made(10), True)
    known.place([made(9), *chain(10, 23)])
    found.offer(made(11), known)
    assert (found.newest, found.violated) == (made(11), False)


def test_a_block_that_is_not_remembered_any_more_is_checked_by_what_the_node_says() -> None:
    found, known = Finality(), window(100, 120)
    found.check(made(5))  # nothing is final yet
    assert not found.violated
    found.offer(made(50), known)
    found.check(made(49, "b"))
    assert not found.violated
    found.check(made(50, "b"))
    assert found.violated
    found.recheck(known)
    found.offer(made(60), known)
    assert (found.newest, found.violated) == (made(50), True)
    found.check(made(50))
    assert not found.violated
