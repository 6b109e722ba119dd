"""One worker far away, played in this process: what it is sent, what it refuses, and how it fails."""

import os
import shutil
from functools import partial

import pytest
import torch

from rbench.away import parcels
from rbench.away.hands import Hand, versions
from rbench.away.parcels import pack, unpack
from rbench.catalog import Catalog, resolve
from rbench.errors import MissingError, ScarceError, UsageError
from rbench.memory import out_of_memory
from rbench.types import Call

CODE = """
import os
def given(bench, number):
    return bench * number
def bench(tick):
    tick(5)
    return 10
def lacking(tick):
    raise FileNotFoundError
"""


@pytest.fixture(autouse=True)
def _own_store(tmp_path, monkeypatch):
    monkeypatch.setattr(parcels, "store", lambda: tmp_path / "store")


def bench(tick):
    tick(5)
    return 10


def times(factor, number):
    return factor * number


def fails(error, _bench):
    raise error


def sent(value):
    """A parcel's data, and what fetches its files."""
    parcel = pack(value)
    return parcel.data, parcel.files.__getitem__


def ready():
    hand = Hand("n1")
    answer = hand.prepare(*sent(bench), versions(), {})
    assert (answer.error, answer.passes) == (None, 5)
    return hand


def test_a_task_is_run_on_the_bench():
    answer = ready().work(*sent((times, (4,))))
    assert (answer.value, answer.passes, answer.lost) == (40, 0, "")


@pytest.mark.parametrize("what", versions())
def test_any_version_that_differs_is_refused_with_both_and_the_node(what):
    wanted = versions() | {what: "0.0.7"}
    error = Hand("n1").prepare(*sent(bench), wanted, {}).error
    assert isinstance(error, UsageError)
    assert str(error).startswith(f"on node n1: {what} is {versions()[what]}, the driver's is 0.0.7.")


def test_a_package_that_a_worker_lacks_is_missed_when_it_is_used(monkeypatch):
    assert Hand("n1").prepare(*sent(bench), versions() | {"torchattacks-x": "3.5"}, {}).error is None


def test_files_of_another_user_are_not_trusted(tmp_path, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(parcels.tempfile, "gettempdir", lambda: str(tmp_path))
    mine = parcels.store()
    assert mine.stat().st_mode & 0o77 == 0
    monkeypatch.setattr(parcels.os, "getuid", lambda: 12345)
    mine.rename(tmp_path / "rbench-parcels-12345")
    with pytest.raises(MissingError, match="belongs to another user"):
        parcels.store()


def test_data_that_a_node_lacks_name_the_node_but_what_the_model_does_wrong_does_not():
    hand = ready()
    missing = hand.work(*sent((partial(fails, MissingError("no images")), ()))).error
    assert str(missing) == "on node n1: no images"
    assert isinstance(missing, MissingError)
    other = hand.work(*sent((partial(fails, UsageError("no such step", code="RB1")), ()))).error
    assert str(other) == "[RB1] no such step"


def test_an_error_that_does_not_travel_arrives_as_one_that_does():
    class OddError(Exception):  # local classes cannot be pickled
        pass

    hand = ready()
    answer = hand._failed(OddError("out of luck"), here=False)
    assert type(answer.error) is RuntimeError
    assert "OddError: out of luck" in str(answer.error)
    assert "In the worker" in answer.error.__notes__[0]


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 1 GB"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    ],
)
def test_want_of_memory_loses_the_worker_even_where_an_attack_was_blamed(error):
    blamed = UsageError("the attack crashed")
    blamed.__cause__ = error
    assert out_of_memory(blamed)
    answer = ready()._failed(blamed, here=False)
    assert (answer.memory, answer.error) == (True, None)
    assert "on node n1" in answer.lost
    assert not out_of_memory(RuntimeError("shapes differ"))


def test_a_worker_that_cannot_do_with_less_is_lost_and_says_what_was_tried():
    answer = ready().work(*sent((partial(fails, ScarceError("out of memory: no batch of 1.", "Buy more.")), ())))
    assert (answer.memory, answer.error, answer.lost) == (True, None, "on node n1, out of memory: no batch of 1.")


def test_a_node_s_own_folder_of_data_counts_before_the_driver_s(monkeypatch):
    monkeypatch.setenv("RBENCH_DATA", "/here")
    monkeypatch.delenv("RBENCH_DOWNLOAD", raising=False)
    Hand("n1").prepare(*sent(bench), versions(), {"RBENCH_DATA": "/there", "RBENCH_DOWNLOAD": "1"})
    assert (os.environ["RBENCH_DATA"], os.environ.pop("RBENCH_DOWNLOAD")) == ("/here", "1")


def test_files_travel_beside_their_paths_and_are_fetched_once(tmp_path):
    original = tmp_path / "weights.safetensors"
    original.write_bytes(b"weights")
    parcel = pack({"weights": original, "elsewhere": tmp_path / "none", "folder": tmp_path})
    original.unlink()
    asked = []
    for _ in range(2):
        value = unpack(parcel.data, lambda digest: asked.append(digest) or parcel.files[digest])
    assert value["weights"] != original
    assert value["weights"].read_bytes() == b"weights"
    assert value["weights"].name == original.name
    assert (value["elsewhere"], value["folder"]) == (tmp_path / "none", tmp_path)
    assert asked == list(parcel.files)


def test_a_kept_file_that_was_changed_is_fetched_anew_and_one_damaged_on_its_way_refused(tmp_path):
    original = tmp_path / "weights"
    original.write_bytes(b"weights")
    parcel = pack(original)
    unpack(parcel.data, parcel.files.__getitem__).write_bytes(b"others")
    assert unpack(parcel.data, parcel.files.__getitem__).read_bytes() == b"weights"
    unpack(parcel.data, parcel.files.__getitem__).unlink()
    with pytest.raises(MissingError, match="damaged on its way"):
        unpack(parcel.data, lambda _: b"weight")


def test_code_in_a_file_travels_and_keeps_its_name(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    parcel = pack(Call("mine.py:given", {"number": 3}))
    shutil.move("mine.py", "gone.py")
    call = unpack(parcel.data, parcel.files.__getitem__)
    assert call == Call(f"{tmp_path / 'mine.py'}:given", {"number": 3})
    assert resolve(call.use)(10, 3) == 30
    assert resolve("mine.py:given") is resolve(call.use)  # digests of models name the module of their code


def test_a_pointer_to_no_file_is_refused_before_it_is_sent(tmp_path):
    with pytest.raises(MissingError, match=r"none\.py cannot be sent"):
        pack(Call(f"{tmp_path}/none.py:f"))


def test_the_package_s_own_shelves_are_those_of_the_receiver(monkeypatch, tmp_path):
    parcel = pack(Catalog.find([tmp_path]))
    monkeypatch.setattr(Catalog, "builtin", staticmethod(lambda: tmp_path / "installed"))
    assert unpack(parcel.data, parcel.files.__getitem__).roots == (tmp_path / "installed", tmp_path)
