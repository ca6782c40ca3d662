"""Routes: a channel's providers in order, each behind its breaker and its rate limit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from fallback.pacing import Pacer, Sleep
from fallback.providers.base import Fault, Ok, Outcome, Permanent, Provider, Transient
from fallback.registry import ProviderRegistry
from hub.core.breaker import Breaker, BreakerPolicy, BreakerState, Sign, Ticket
from hub.core.model import Channel, Priority
from hub.core.model.queues import ProviderSign
from hub.core.rates import Rate
from hub.ports import Clock, RateLimiter

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Passage:
    """Leave to call a provider for one delivery; `outcomes` are filled in by whoever got it."""

    ticket: Ticket
    outcomes: Sequence[Outcome] = ()


class Guard:
    """One provider of one channel. Each process has its own, and its own breaker in it."""

    def __init__(
        self,
        channel: Channel,
        provider: Provider,
        clock: Clock,
        *,
        pacer: Pacer | None,
        policy: BreakerPolicy,
        changed: Callable[[], None],
    ) -> None:
        """Call `changed` whenever it lets calls through again, be it one."""
        self.channel = channel
        self.provider = provider
        self.pacer = pacer
        self._clock = clock
        self._breaker = Breaker(policy)
        self._changed = changed

    @property
    def state(self) -> BreakerState:
        """The breaker's state."""
        return self._breaker.state(self._clock.now())

    def sign(self) -> ProviderSign:
        """Tell how this process finds the provider."""
        breaker = self._breaker
        return ProviderSign(self.channel, self.provider.name, breaker.out_since, breaker.answered_at)

    def ready_at(self, now: int) -> int | None:
        """Tell when a call may be made; None while everything waits for how a trial call ends."""
        ready_at = self._breaker.ready_at(now)
        return ready_at if ready_at is None or self.pacer is None else max(ready_at, self.pacer.ready_at(now))

    async def enter(self, priority: Priority, calls: int) -> Passage | None:
        """Get leave for the calls of one delivery, after waiting for the rate limit; None if there is none now.

        Whoever gets it hands it back by `leave`, whatever happens.
        """
        if self._breaker.ready_at(now := self._clock.now()) != now:
            return None
        if self.pacer is not None:
            if not await self.pacer.enter(priority, calls):
                return None
            now = self._clock.now()
        ticket = self._breaker.admit(now)
        return None if ticket is None else Passage(ticket)

    def leave(self, passage: Passage) -> None:
        """Learn from how the calls ended."""
        now = self._clock.now()
        before = self._breaker.state(now)
        sign, hold = read(passage.outcomes)
        self._breaker.report(passage.ticket, sign, now, hold=hold)
        self._tell(before, now)

    def _tell(self, before: BreakerState, now: int) -> None:
        after = self._breaker.state(now)
        if before is after is BreakerState.CLOSED:
            return
        names = {"provider": self.provider.name, "channel": self.channel.value}
        if after is BreakerState.OPEN and before is not after:
            log.warning("breaker_opened", **names, seconds=((self._breaker.ready_at(now) or now) - now) // 1000)
        elif after is BreakerState.CLOSED and before is not after:
            log.info("breaker_closed", **names)
        if after is not BreakerState.OPEN and before is not BreakerState.CLOSED:
            self._changed()


@dataclass(frozen=True, slots=True)
class Route:
    """The providers of one channel, the preferred first."""

    guards: Sequence[Guard] = ()

    def starting_at(self, provider: str | None) -> Sequence[Guard]:
        """List the guards in order, but this provider's first."""
        return sorted(self.guards, key=lambda guard: guard.provider.name != provider)

    def ready_at(self, now: int) -> int | None:
        """Tell when any of them may be called, `now` or later; None while everything waits for a trial call.

        A channel without providers is always ready: its deliveries are not sent, but end.
        """
        times = [at for guard in self.guards if (at := guard.ready_at(now)) is not None]
        return min(times, default=None) if self.guards else now

    def width(self, now: int) -> int | None:
        """Tell how many deliveries of a lane may be on their way; None: any number."""
        ready = [guard for guard in self.guards if guard.ready_at(now) == now]
        widths = [None if guard.pacer is None else guard.pacer.width for guard in ready]
        return None if not widths or None in widths else sum(width for width in widths if width is not None)

    def on_trial(self, now: int) -> bool:
        """Tell whether all that can be done is to try whether one of them works again."""
        states = [guard.state for guard in self.guards if guard.ready_at(now) == now]
        return bool(states) and BreakerState.CLOSED not in states


class Routes:
    """The routes of a process."""

    def __init__(
        self,
        providers: ProviderRegistry,
        clock: Clock,
        *,
        limiter: RateLimiter | None = None,
        rates: Mapping[str, Sequence[Rate]] | None = None,
        policy: BreakerPolicy | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """`rates`: those of the providers that have any, by name; they need a `limiter`. `sleep` is for tests."""
        self._pacers = {
            name: Pacer(name, own, limiter, clock, sleep=sleep)
            for name, own in (rates or {}).items()
            if limiter is not None
        }
        self._listeners: list[Callable[[], None]] = []
        self._routes = {
            channel: Route(
                [
                    Guard(
                        channel,
                        provider,
                        clock,
                        pacer=self._pacers.get(provider.name),
                        policy=policy or BreakerPolicy(),
                        changed=self._changed,
                    )
                    for provider in providers.of(channel)
                ]
            )
            for channel in Channel
        }

    def of(self, channel: Channel) -> Route:
        """Return a channel's route; it may be empty."""
        return self._routes[channel]

    def guards(self) -> Iterable[Guard]:
        """List all guards, for metrics."""
        return (guard for route in self._routes.values() for guard in route.guards)

    def signs(self) -> Sequence[ProviderSign]:
        """Tell how this process finds each provider."""
        return [guard.sign() for guard in self.guards()]

    def on_ready(self, listener: Callable[[], None]) -> None:
        """Have `listener` called whenever a provider may be called again, or tried again."""
        self._listeners.append(listener)

    def stop(self) -> None:
        """Send away whoever waits for a rate limit: the worker ends."""
        for pacer in self._pacers.values():
            pacer.stop()

    def _changed(self) -> None:
        for listener in self._listeners:
            listener()


def passes_on(outcome: Outcome) -> bool:
    """Tell whether the next provider is to be tried with an endpoint at once.

    Not after a call that may have succeeded: that would often send twice. It is tried again later, with the same
    provider first, whose key for the delivery makes a repeat harmless where it knows one.
    """
    match outcome:
        case Transient():
            return outcome.fault is not Fault.ENDPOINT and not outcome.maybe_sent
        case Permanent():
            return outcome.fault is not Fault.ENDPOINT
    return False


def read(outcomes: Sequence[Outcome]) -> tuple[Sign, int]:
    """Tell what the calls for one delivery say about the provider, and for how long it wants to be left alone.

    They count as one: a user with fifty devices must not open a breaker alone, nor keep it closed.
    """
    faults = [outcome for outcome in outcomes if not isinstance(outcome, Ok) and outcome.fault is Fault.PROVIDER]
    hold = max((fault.retry_after or 0 for fault in faults if isinstance(fault, Transient)), default=0)
    if any(isinstance(fault, Permanent) for fault in faults):
        return Sign.BROKEN, hold
    answered = [outcome for outcome in outcomes if isinstance(outcome, Ok) or outcome.fault is Fault.ENDPOINT]
    if answered:
        return Sign.ALIVE, hold
    return (Sign.FAILED if faults else Sign.NOTHING), hold
