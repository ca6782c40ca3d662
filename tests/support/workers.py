"""`bellwire worker` processes over one database and one carrier: the command that docker-compose.yml names."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import asyncpg
import msgspec
import yaml

from hub.core import wire
from tests.support.carrier import Carrier
from tests.support.ledger import Ledger
from tests.support.mute import mute
from tests.support.pigeon import install
from tests.support.process import REPOSITORY, BellwireProcess

LEASE = 2
"""Seconds that claims outlive their worker here."""
AT_MOST = 1_000
"""Recipients of one publish."""


def command(service: str) -> list[str]:
    """The words after `bellwire` with which docker-compose.yml starts a service."""
    services = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())["services"]
    program, *words = str(services[service]["command"]).split()
    assert program == "bellwire"
    return words


class Workers:
    """Workers, whom they work for, and what became of it."""

    def __init__(self, database_url: str, env: Mapping[str, str], carrier: Carrier) -> None:
        self.database_url = database_url
        self.carrier = carrier
        self.ledger = Ledger(database_url)
        self._env = env
        self._made: list[BellwireProcess] = []

    def process(self, *words: str, **settings: str) -> BellwireProcess:
        """Make a process of `bellwire`, not started yet; `settings` are further variables of its environment."""
        made = BellwireProcess(*words, env={**self._env, **settings})
        self._made.append(made)
        return made

    def worker(self, **settings: str) -> BellwireProcess:
        """Make a worker."""
        return self.process(*command("worker"), **settings)

    async def started(self, **settings: str) -> BellwireProcess:
        """Make and start a worker."""
        made = self.worker(**settings)
        await asyncio.to_thread(made.start)
        return made

    async def publish(self, count: int, channel: str, **fields: Any) -> None:
        """Publish to so many users with one step, due now; to as many others with each call.

        Nobody is told of it, as by a node that dies right after its commit: workers find it by themselves.
        """
        [row] = await self.ledger.fetch("SELECT count(*) FROM users")
        users = [f"user-{number:05}" for number in range(row[0], row[0] + count)]
        await self.introduce(users)
        async with mute(self.database_url) as hub:
            for first in range(0, count, AT_MOST):
                request = {
                    "recipients": users[first : first + AT_MOST],
                    "title": "Your order has shipped",
                    "fallback": [{"channel": channel, "unless": None}],
                    **fields,
                }
                await hub.notifications.publish("default", msgspec.convert(request, wire.PublishIn))

    async def introduce(self, users: Sequence[str]) -> None:
        """Store contacts, all at once."""
        connection: asyncpg.Connection = await asyncpg.connect(self.database_url)
        try:
            rows = [
                ("default", user, f"{user}@example.com", f"+4930{number:07}", 0, 0) for number, user in enumerate(users)
            ]
            columns = ("tenant", "user_id", "email", "phone", "created_at", "updated_at")
            await connection.copy_records_to_table("users", records=rows, columns=columns)
        finally:
            await connection.close()

    async def kill(self) -> None:
        """Kill whatever runs."""
        await asyncio.gather(*(asyncio.to_thread(each.kill) for each in self._made))

    def words(self) -> str:
        """Return the end of what each has printed."""
        return "\n".join(f"process {number}:\n{each.output[-3000:]}" for number, each in enumerate(self._made))


@asynccontextmanager
async def open_workers(
    database_url: str, redis_url: str, folder: Path, settings: Mapping[str, str] = MappingProxyType({})
) -> AsyncIterator[Workers]:
    """Lend a carrier and what makes workers, which send e-mails and text messages by it. At the end all are killed."""
    async with Carrier().running() as carrier:
        env = {
            "BELLWIRE_ENV": "production",
            "BELLWIRE_DATABASE_URL": database_url,
            "BELLWIRE_REDIS_URL": redis_url,
            "BELLWIRE_EMAIL_PROVIDER": "mailpigeon",
            "BELLWIRE_SMS_PROVIDER": "textpigeon",
            "BELLWIRE_SENDGRID_API_KEY": "SG.a-key",
            "BELLWIRE_SENDGRID_HOST": carrier.url,
            "BELLWIRE_MAIL_FROM": "Bellwire <bell@example.com>",
            "BELLWIRE_LEASE_SECONDS": str(LEASE),
            **install(folder, carrier.url),
            **settings,
        }
        workers = Workers(database_url, env, carrier)
        try:
            yield workers
        except BaseException as error:
            error.add_note(workers.words())
            raise
        finally:
            await workers.kill()
