"""A crew on a ground that a test plays: workers that die, run out of memory, fail and never come."""

from collections import Counter

import pytest

from rbench.away import crew
from rbench.away.crew import DEATHS, Crew
from rbench.away.hands import Answer
from rbench.errors import InterruptedRunError, MissingError


class Stage:
    """Workers are numbers; `plays(worker, task)` is what a worker answers, and `comes(worker)` how it starts."""

    def __init__(self, plays=lambda _worker, task: Answer(task[0] * 10, 1), comes=lambda _worker: Answer()):
        self.plays, self.comes = plays, comes
        self.hired, self.dismissed, self.given, self.left = 0, [], [], False
        self.most = 0

    def hire(self):
        self.hired += 1
        return self.hired, ("ready", self.hired)

    def give(self, worker, _function, task):
        self.given.append((worker, task[0]))
        return ("task", worker, task)

    def answers(self, tickets):
        self.most = max(self.most, len(tickets))
        found = [(t, self.comes(t[1]) if t[0] == "ready" else self.plays(t[1], t[2])) for t in tickets]
        return [(ticket, answer) for ticket, answer in found if answer is not None][:1]  # one at a time

    def dismiss(self, worker):
        self.dismissed.append(worker)

    def leave(self):
        self.left = True

    def room(self):
        return "there is no room"


def work(stage, tasks=6, count=2, ticks=None):
    return list(
        Crew(stage, count, (ticks if ticks is not None else []).append).map(print, [(n,) for n in range(tasks)])
    )


def test_every_task_gives_one_result_and_passes_are_heard():
    stage, ticks = Stage(), []
    assert sorted(work(stage, ticks=ticks)) == [0, 10, 20, 30, 40, 50]
    assert sum(ticks) == 6
    assert (stage.hired, stage.most) == (2, 2)


def test_no_more_workers_are_hired_than_there_are_tasks():
    stage = Stage()
    assert work(stage, tasks=1, count=8) == [0]
    assert stage.hired == 1


def test_the_quick_worker_takes_what_the_slow_one_has_not_begun():
    waits = Counter()

    def plays(worker, task):
        waits[worker] += 1
        if worker == 1 and waits[worker] < 8:
            return None
        return Answer(task[0])

    stage = Stage(plays)
    assert sorted(work(stage)) == list(range(6))
    assert Counter(worker for worker, _ in stage.given) == {1: 1, 2: 5}


def test_a_death_costs_the_task_in_hand_which_another_worker_takes_first():
    stage = Stage(lambda worker, task: Answer(lost="killed") if worker == 1 else Answer(task[0]))
    assert sorted(work(stage, count=1)) == list(range(6))
    assert stage.given == [(1, 0), *((2, n) for n in range(6))]
    assert stage.dismissed == [1]


def test_a_task_that_kills_its_workers_ends_the_run_after_a_few():
    stage = Stage(lambda _worker, task: Answer(lost="pid 7 was killed") if task[0] == 3 else Answer(task[0]))
    crew, got = Crew(stage, 2, lambda _: None), []
    with pytest.raises(InterruptedRunError, match=r"again and again.*pid 7 was killed.*same command resumes"):
        got.extend(crew.map(print, [(n,) for n in range(4)]))
    assert [task for _, task in stage.given].count(3) == DEATHS
    assert {0, 1, 2} >= set(got)
    assert stage.hired <= 2 + DEATHS


def test_workers_that_die_on_their_way_end_the_run_too():
    stage = Stage(comes=lambda _worker: Answer(lost="no such image"))
    with pytest.raises(InterruptedRunError, match="no such image"):
        work(stage)
    assert stage.hired < 20
    assert stage.given == []


def test_a_worker_without_memory_is_not_replaced_and_its_task_is_done_by_another():
    stage = Stage(lambda worker, task: Answer(lost="full", memory=True) if worker == 1 else Answer(task[0]))
    assert sorted(work(stage)) == list(range(6))
    assert stage.hired == 2


def test_when_no_worker_has_memory_the_error_says_what_to_change():
    stage = Stage(lambda _worker, _task: Answer(lost="out of memory on node n7", memory=True))
    with pytest.raises(InterruptedRunError, match=r"node n7.*fewer --workers.*--gpus"):
        work(stage)
    assert stage.hired == 2


def test_an_error_is_raised_after_the_results_that_came_with_it():
    stage = Stage(lambda _worker, task: Answer(error=MissingError("on node n1: no data")) if task[0] else Answer(0))
    stage.answers = lambda tickets: [(t, Answer() if t[0] == "ready" else stage.plays(t[1], t[2])) for t in tickets]
    got = []
    with pytest.raises(MissingError, match="on node n1"):
        got.extend(Crew(stage, 2, lambda _: None).map(print, [(1,), (0,)]))
    assert got == [0]


def test_workers_that_never_come_are_waited_for_so_long(monkeypatch):
    clock = iter(range(0, 10**6, 100))
    monkeypatch.setattr(crew.time, "monotonic", lambda: next(clock))
    with pytest.raises(InterruptedRunError, match="300 s; there is no room"):
        work(Stage(comes=lambda _worker: None))


def test_workers_stay_between_two_maps_and_all_are_dismissed_at_the_end():
    stage = Stage()
    crew = Crew(stage, 2, lambda _: None)
    for _ in range(2):
        assert len(list(crew.map(print, [(n,) for n in range(4)]))) == 4
    crew.close(failed=False)
    assert stage.hired == 2
    assert sorted(stage.dismissed) == [1, 2]
    assert stage.left
