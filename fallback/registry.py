"""Which providers serve which channel. Providers are found by entry points: a new one touches no file of ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Self

from fallback.providers.base import Provider, Surroundings
from hub.core.errors import ConfigurationError
from hub.core.model import Channel
from hub.settings import Settings

GROUP = "bellwire.providers"


class ProviderRegistry:
    """The providers of a process: of each channel those that are to be tried, the preferred first."""

    def __init__(self, by_channel: Mapping[Channel, Sequence[Provider]]) -> None:
        self._by_channel = {channel: tuple(own) for channel, own in by_channel.items() if own}

    @classmethod
    def from_settings(
        cls, settings: Settings, surroundings: Surroundings, found: Iterable[EntryPoint] | None = None
    ) -> Self:
        """Choose for every channel and make what was chosen.

        Chosen are those that `BELLWIRE_<CHANNEL>_PROVIDER` names, in this order; else, of the providers whose
        settings are there, the one preferred most (in development that is at last `console`); else the channel has
        none.

        Raises:
            ConfigurationError: a named provider does not exist or does not serve the channel, or one that was
                chosen cannot be made.

        """
        known = {entry.name: entry for entry in (entry_points(group=GROUP) if found is None else found)}
        kinds: dict[str, type[Provider]] = {name: entry.load() for name, entry in sorted(known.items())}
        made: dict[str, Provider] = {}
        by_channel: dict[Channel, list[Provider]] = {}
        for channel in Channel:
            for name in _choose(channel, settings, kinds):
                if name not in made:
                    made[name] = kinds[name].from_settings(settings, surroundings)
                by_channel.setdefault(channel, []).append(made[name])
        return cls(by_channel)

    def of(self, channel: Channel) -> Sequence[Provider]:
        """Return the channel's providers, the preferred first; it may have none."""
        return self._by_channel.get(channel, ())

    def names(self) -> Mapping[Channel, str]:
        """Return what was chosen, for the start's log line and for `doctor`."""
        return {channel: ", ".join(provider.name for provider in own) for channel, own in self._by_channel.items()}

    async def close(self) -> None:
        """Close every provider once."""
        everyone = (provider for own in self._by_channel.values() for provider in own)
        for provider in {id(provider): provider for provider in everyone}.values():
            await provider.close()


def _choose(channel: Channel, settings: Settings, kinds: Mapping[str, type[Provider]]) -> Sequence[str]:
    named = {
        Channel.EMAIL: settings.email_provider,
        Channel.PUSH: settings.push_provider,
        Channel.SMS: settings.sms_provider,
        Channel.CHAT: settings.chat_provider,
    }.get(channel)
    serving = {name: kind for name, kind in kinds.items() if channel in kind.channels}
    if named is None:
        ready = [name for name, kind in serving.items() if kind.configured(settings)]
        return sorted(ready, key=lambda name: (serving[name].preference, name))[:1]
    names = [name.strip() for name in named.split(",")]
    for name in names:
        if name not in serving:
            raise ConfigurationError(
                f"BELLWIRE_{channel.name}_PROVIDER names {name!r}, which does not send {channel.value}; "
                f"installed providers that do: {', '.join(serving) or 'none'}"
            )
        if names.count(name) > 1:
            raise ConfigurationError(f"BELLWIRE_{channel.name}_PROVIDER names {name!r} more than once")
    return names
