"""A ground whose workers live in this process, but get parcels and keep files elsewhere, as on other machines."""

import pickle
from functools import partial
from itertools import count

from rbench.away import parcels
from rbench.away.crew import Crew
from rbench.away.hands import Hand, versions
from rbench.away.parcels import pack
from rbench.workers import Away


class Loopback:
    """`number` parcels were sent, tasks and benches alike."""

    def __init__(self, prepare):
        self.told = pack(prepare), versions(), {}
        self.answered, self.tickets = {}, count()
        self.number = 0

    def hire(self):
        hand = Hand("loop")
        parcel, *told = self.told
        return hand, self.sent(hand.prepare(parcel.data, parcel.files.__getitem__, *told))

    def give(self, worker, function, task):
        parcel = pack((function, task))
        return self.sent(worker.work(parcel.data, parcel.files.__getitem__))

    def sent(self, answer):
        ticket = next(self.tickets)
        self.answered[ticket] = pickle.loads(pickle.dumps(answer))  # noqa: S301
        self.number += 1
        return ticket

    def answers(self, tickets):
        return [(ticket, self.answered.pop(ticket)) for ticket in reversed(tickets)]  # in another order than asked

    def dismiss(self, worker):
        pass

    def leave(self):
        pass

    def room(self):
        return "there is room"


def looped(monkeypatch, store):
    """Let the engine "ray" be a loopback, for the time of a test; returns the grounds that were stood on."""
    grounds = []

    def pool(number, prepare, tick):
        grounds.append(Loopback(prepare))
        return Crew(grounds[-1], number, tick)

    def workers(number, address, device, share):
        assert (address, share) == (None, 1.0)
        return Away(number or 2, partial(pool, number or 2))

    monkeypatch.setattr("rbench.away.on_ray.workers", workers)
    monkeypatch.setattr(parcels, "store", lambda: store)
    return grounds
