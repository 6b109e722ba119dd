"""The search space by arithmetic that is written out here."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rbench.candidates import DIRECT, NODE_EDGES, Candidate, Filter, Search, read, sampled, spelled
from rbench.errors import UsageError
from rbench.models.genotypes import EDGES, GENOTYPES, codes_of

SEARCH = {"name": "s", "title": "", "supernet": "a", "recipe": "b", "sample": 3}
rows = st.lists(st.booleans(), min_size=28, max_size=28)


@given(st.lists(rows, min_size=1, max_size=4))
def test_cells_are_written_as_the_models_read_them(cells):
    bits = np.array(cells)
    written = [spelled(row) for row in bits]
    assert np.array_equal(read(written), bits)
    codes = codes_of(written, len(written))  # refuses what is no cell
    assert [[bit == "1" for code in cell for bit in code] for cell in codes] == bits.tolist()


def test_direct_edges_join_states_that_are_neighbours():
    edges = [(source, node + 2) for node, count in enumerate(NODE_EDGES) for source in range(count)]
    assert len(edges) == EDGES
    assert tuple(place for place, (source, state) in enumerate(edges) if state - source == 1) == DIRECT


def test_counts_of_the_published_cell():
    large = Candidate(0, read(GENOTYPES["large"]))
    assert large.density == pytest.approx(22 / 28)
    assert (large.convolutions, large.direct) == (13, 3)  # from node 1 to node 2 it is "10"
    free = Candidate(1, read(["10 10  10 10 10  10 10 10 10  10 10 10 10 10", *GENOTYPES["large"]]))
    assert (free.density, free.convolutions, free.direct) == (36 / 56, 6.5, 1.5)


@settings(max_examples=20)
@given(st.integers(0, 2**31 - 1), st.integers(1, 30), st.integers(1, 4))
def test_candidates_are_a_function_of_seed_and_number_and_all_differ(seed, count, cells):
    drawn = sampled(seed, count + 5, cells)
    for one, other in zip(sampled(seed, count, cells), drawn, strict=False):
        assert one.index == other.index
        assert np.array_equal(one.bits, other.bits)
    assert len({each.bits.tobytes() for each in drawn}) == count + 5
    for each in drawn:
        assert each.bits.shape == (cells, 28)
        for row in each.bits:
            place = 0
            for edges in NODE_EDGES:
                assert row[place : place + 2 * edges].any(), "a node without an operation"
                place += 2 * edges


def test_every_bit_is_a_coin():
    bits = np.concatenate([each.bits for each in sampled(0, 2_000, 1)])
    # No node is empty: a bit of a node of e edges is 1 with probability (1/2) / (1 - 2^-2e).
    expected = np.repeat([0.5 / (1 - 0.5 ** (2 * edges)) for edges in NODE_EDGES], [2 * edges for edges in NODE_EDGES])
    assert np.abs(bits.mean(0) - expected).max() < 5 * np.sqrt(0.25 / 2_000)


def test_what_makes_no_sense_is_refused():
    with pytest.raises(UsageError, match="sample = 0"):
        Search(**(SEARCH | {"sample": 0}))
    with pytest.raises(UsageError, match=r"share = 0\.6"):
        Search(**SEARCH, share=0.6)
    with pytest.raises(UsageError, match=r"filter\.keep = 0"):
        Filter(0, (1,))
    with pytest.raises(UsageError, match=r"filter\.cells"):
        Filter(0.5, ())
