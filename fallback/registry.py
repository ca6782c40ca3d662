"""Which provider serves which channel. Providers are found by entry points: a new one touches no file of ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Self

from fallback.providers.base import Provider, Surroundings
from hub.core.errors import ConfigurationError
from hub.core.model import Channel
from hub.settings import Settings

GROUP = "bellwire.providers"


class ProviderRegistry:
    """The providers of a process, one for each channel at most."""

    def __init__(self, by_channel: Mapping[Channel, Provider]) -> None:
        self._by_channel = dict(by_channel)

    @classmethod
    def from_settings(
        cls, settings: Settings, surroundings: Surroundings, found: Iterable[EntryPoint] | None = None
    ) -> Self:
        """Choose for every channel and make what was chosen.

        Chosen is what `BELLWIRE_<CHANNEL>_PROVIDER` names; else, of the providers whose settings are there, the one
        preferred most (in development that is at last `console`); else the channel has none.

        Raises:
            ConfigurationError: a named provider does not exist or does not serve the channel, or one that was
                chosen cannot be made.

        """
        known = {entry.name: entry for entry in (entry_points(group=GROUP) if found is None else found)}
        kinds: dict[str, type[Provider]] = {name: entry.load() for name, entry in sorted(known.items())}
        made: dict[str, Provider] = {}
        by_channel: dict[Channel, Provider] = {}
        for channel in Channel:
            name = _choose(channel, settings, kinds)
            if name is None:
                continue
            if name not in made:
                made[name] = kinds[name].from_settings(settings, surroundings)
            by_channel[channel] = made[name]
        return cls(by_channel)

    def get(self, channel: Channel) -> Provider | None:
        """Return the channel's provider, if there is one."""
        return self._by_channel.get(channel)

    def names(self) -> Mapping[Channel, str]:
        """Return what was chosen, for the start's log line and for `doctor`."""
        return {channel: provider.name for channel, provider in self._by_channel.items()}

    async def close(self) -> None:
        """Close every provider once."""
        for provider in {id(provider): provider for provider in self._by_channel.values()}.values():
            await provider.close()


def _choose(channel: Channel, settings: Settings, kinds: Mapping[str, type[Provider]]) -> str | None:
    named = {
        Channel.EMAIL: settings.email_provider,
        Channel.PUSH: settings.push_provider,
        Channel.SMS: settings.sms_provider,
        Channel.CHAT: settings.chat_provider,
    }.get(channel)
    serving = {name: kind for name, kind in kinds.items() if channel in kind.channels}
    if named is not None:
        if named not in serving:
            raise ConfigurationError(
                f"BELLWIRE_{channel.name}_PROVIDER names {named!r}, which does not send {channel.value}; "
                f"installed providers that do: {', '.join(serving) or 'none'}"
            )
        return named
    ready = [name for name, kind in serving.items() if kind.configured(settings)]
    return min(ready, key=lambda name: (serving[name].preference, name), default=None)
