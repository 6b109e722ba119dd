from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rbench.data.digits import digits
from rbench.errors import UsageError
from rbench.recipe import Augment
from rbench.rng import Draws
from rbench.training.batches import augmented, cut_out, epoch_order, fetch, split, stratified
from rbench.training.setting import prepare


@settings(deadline=None)
@given(labels=st.lists(st.integers(0, 4), min_size=2, max_size=80), data=st.data())
def test_stratified_parts_are_disjoint_complete_and_fair(labels, data):
    labels = np.array(labels)
    ids = np.arange(len(labels))
    count = data.draw(st.integers(1, len(labels) - 1))
    chosen, rest = stratified(labels, ids, count, "test")
    assert len(chosen) == count
    assert sorted([*chosen, *rest]) == list(ids)
    sizes = Counter(labels.tolist())
    for label, size in sizes.items():
        doubt = 0.5 + size / len(labels) * (len(sizes) - 2) / 2
        assert abs((labels[chosen] == label).sum() - size * count / len(labels)) <= doubt + 1e-9


def test_choice_is_a_random_one_that_its_stream_decides():
    first, second, again = (stratified(np.zeros(40, int), np.arange(40), 20, name)[0] for name in ("a", "b", "a"))
    assert list(first) == list(again)
    assert 3 < len(set(first) & set(second)) < 17  # ten are expected


def test_nothing_to_choose_from_is_refused():
    with pytest.raises(UsageError, match="cannot choose 3 of 3 images; give a number from 1 to 2"):
        stratified(np.zeros(3, int), np.arange(3), 3, "test")


def test_held_out_images_are_never_trained_or_searched_on_and_do_not_depend_on_the_seed(card, recipe):
    zero, one = prepare(card, recipe, 0), prepare(card, recipe, 1)
    assert list(zero.held_out) == list(one.held_out)
    assert list(zero.searched) == list(one.searched)
    assert len(zero.held_out) == 40
    assert len(zero.searched) == 24  # a fifth of 120
    assert not set(zero.held_out) & set(zero.fitted)
    assert set(zero.searched) <= set(zero.fitted)
    assert sorted([*zero.held_out, *zero.fitted]) == list(range(160))
    sizes, given_away = (np.bincount(zero.data.labels[ids], minlength=10) for ids in (range(160), zero.held_out))
    assert (abs(given_away - sizes / 4) <= 1).all()


def test_every_epoch_sees_every_fitted_image_once(card, plain, monkeypatch, tmp_path):
    from rbench.training import loop

    seen = []

    def step(_setting, epoch, _iteration, batches, _total):
        seen.append((epoch, batches[0].samples.numpy()))
        return torch.tensor([1.0, 0.0, 0.5, 1.0]).double()

    monkeypatch.setattr(loop, "step", step)
    loop.train(card, replace(plain, epochs=2), out=tmp_path, progress=False)
    setting = prepare(card, plain, 0)
    for epoch in range(2):
        assert sorted(np.concatenate([ids for at, ids in seen if at == epoch])) == list(setting.fitted)


def test_order_is_a_function_of_seed_and_epoch():
    ids = np.arange(50)
    orders = [tuple(epoch_order(ids, seed, epoch)) for seed, epoch in ((0, 0), (0, 1), (1, 0))]
    assert len(set(orders)) == 3
    assert all(sorted(order) == list(ids) for order in orders)
    torch.manual_seed(5)
    assert tuple(epoch_order(ids, 0, 1)) == orders[1]


def test_batches_are_whole():
    assert [list(part) for part in split(np.arange(5), 2)] == [[0, 1], [2, 3], [4]]


def test_bytes_become_images_in_the_unit_box():
    x, y, samples, mixed = fetch(digits("train"), np.array([3, 1]))
    assert mixed == ()
    assert x.dtype == torch.float32
    assert torch.equal((x * 255).round().to(torch.uint8), torch.from_numpy(digits("train").pixels[[3, 1]]))
    assert y.tolist() == digits("train").labels[[3, 1]].tolist()
    assert samples.tolist() == [3, 1]


@pytest.mark.parametrize(("padding", "fill"), [("zero", 0.0), ("grey", 128 / 255), ("reflect", None)])
@pytest.mark.parametrize("flip", [False, True])
def test_augmented_images_are_windows_of_the_padded_image(padding, fill, flip):
    x = torch.rand(60, 3, 5, 6, generator=torch.Generator().manual_seed(0))
    rng = Draws(0, "test", torch.arange(60))
    out = augmented(x, Augment(pad=2, padding=padding, flip=flip), rng)
    mode = "reflect" if fill is None else "constant"
    padded = torch.from_numpy(
        np.pad(x.numpy(), [(0, 0), (0, 0), (2, 2), (2, 2)], mode, **({} if fill is None else {"constant_values": fill}))
    )
    kinds = Counter()
    for sample in range(60):
        windows = {
            (top, left, mirrored): window.flip(2) if mirrored else window
            for top in range(5)
            for left in range(5)
            for window in [padded[sample, :, top : top + 5, left : left + 6]]
            for mirrored in (False, True)
        }
        (found,) = [key for key, window in windows.items() if torch.equal(out[sample], window)]
        kinds[found] += 1
    assert {mirrored for _, _, mirrored in kinds} == ({False, True} if flip else {False})
    assert {top for top, _, _ in kinds} == {left for _, left, _ in kinds} == set(range(5))


def test_augmentation_of_a_sample_does_not_depend_on_its_batch():
    x = torch.rand(10, 3, 8, 8)
    augment = Augment(pad=2, flip=True)
    whole = augmented(x, augment, Draws(0, "test", torch.arange(10)))
    rows = torch.tensor([7, 2])
    assert torch.equal(augmented(x[rows], augment, Draws(0, "test", rows)), whole[rows])


def test_no_augmentation_is_the_identity():
    x = torch.rand(4, 3, 8, 8)
    assert augmented(x, Augment(), Draws(0, "test", torch.arange(4))) is x


@pytest.mark.parametrize("side", [3, 4])
def test_cutout_blackens_a_square_around_any_pixel_and_nothing_else(side):
    x = torch.rand(300, 3, 5, 7, generator=torch.Generator().manual_seed(0)) + 0.1
    out = cut_out(x, side, Draws(0, "test", torch.arange(300)))
    centres = Counter()
    for sample in range(300):
        squares = {}
        for row in range(5):
            for column in range(7):
                square = x[sample].clone()
                top, left = row - side // 2, column - side // 2
                square[:, max(top, 0) : top + side, max(left, 0) : left + side] = 0
                squares[row, column] = square
        (found,) = [key for key, square in squares.items() if torch.equal(out[sample], square)]
        centres[found] += 1
    assert len(centres) == 35
    assert max(centres.values()) < 25  # 8.6 are expected


def test_cutout_of_a_sample_is_its_own_and_none_is_the_identity():
    x = torch.rand(10, 3, 8, 8)
    whole = cut_out(x, 4, Draws(0, "test", torch.arange(10)))
    rows = torch.tensor([7, 2])
    assert torch.equal(cut_out(x[rows], 4, Draws(0, "test", rows)), whole[rows])
    assert cut_out(x, 0, Draws(0, "test", torch.arange(10))) is x
