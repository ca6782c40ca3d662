"""Users' contacts and devices, on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.model import Contact, Device
from hub.store.engine import Database
from hub.store.rows import contact_of, device_of
from hub.store.sql import insert_on_conflict, inserted
from hub.store.tables import devices, users

_change_contact = (
    update(users)
    .where(users.c.tenant == bindparam("in_tenant"), users.c.user_id == bindparam("of_user"))
    .values({name: bindparam(name) for name in ("email", "phone", "name", "locale", "timezone", "updated_at")})
)


MAX_DEVICES = 50
"""Devices of one user."""


class SqlDirectory:
    """`Directory` in SQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put_contact(self, tenant: str, contact: Contact, now: int) -> bool:
        """Store a contact whole (absent fields are cleared); True if the user was new."""
        fields = {
            "email": contact.email,
            "phone": contact.phone,
            "name": contact.name,
            "locale": contact.locale,
            "timezone": contact.timezone,
            "updated_at": now,
        }
        new = {"tenant": tenant, "user_id": contact.user, "created_at": now, **fields}

        async def put(connection: AsyncConnection) -> bool:
            if await inserted(connection, users, new):
                return True
            await connection.execute(_change_contact, {"in_tenant": tenant, "of_user": contact.user, **fields})
            return False

        return await self._database.write(put)

    async def contact(self, tenant: str, user: str) -> Contact | None:
        """Read a contact."""
        wanted = select(users).where(users.c.tenant == tenant, users.c.user_id == user)

        async def read(connection: AsyncConnection) -> Contact | None:
            row = (await connection.execute(wanted)).one_or_none()
            return None if row is None else contact_of(row)

        return await self._database.read(read)

    async def add_device(self, tenant: str, device: Device) -> Device:
        """Store a device; the same kind and token again moves it to this user and keeps its id and age.

        Of a user's others the newest stay, `MAX_DEVICES` in all: apps register themselves, and every device is a
        call to the provider for every push.
        """
        insert = insert_on_conflict(self._database.dialect, devices).values(
            tenant=tenant,
            id=device.id,
            user_id=device.user,
            kind=device.kind,
            token=device.token,
            name=device.name,
            created_at=device.created_at,
        )
        upsert = insert.on_conflict_do_update(
            index_elements=[devices.c.tenant, devices.c.kind, devices.c.token],
            set_={"user_id": insert.excluded.user_id, "name": insert.excluded.name},
        ).returning(devices)

        theirs = (devices.c.tenant == tenant, devices.c.user_id == device.user)
        newest_first = (devices.c.created_at.desc(), devices.c.id.desc())

        async def add(connection: AsyncConnection) -> Device:
            stored = device_of((await connection.execute(upsert)).one())
            others = select(devices.c.id).where(*theirs, devices.c.id != stored.id)
            too_old = others.order_by(*newest_first).offset(MAX_DEVICES - 1)
            await connection.execute(delete(devices).where(*theirs, devices.c.id.in_(too_old)))
            return stored

        return await self._database.write(add)

    async def devices(self, tenant: str, user: str) -> Sequence[Device]:
        """Read a user's devices, oldest first."""
        wanted = (
            select(devices)
            .where(devices.c.tenant == tenant, devices.c.user_id == user)
            .order_by(devices.c.created_at, devices.c.id)
        )

        async def read(connection: AsyncConnection) -> list[Device]:
            return [device_of(row) for row in await connection.execute(wanted)]

        return await self._database.read(read)

    async def remove_device(self, tenant: str, user: str, device: UUID) -> bool:
        """Delete a device of this user; False if they have no such device."""
        forget = (
            delete(devices)
            .where(devices.c.tenant == tenant, devices.c.user_id == user, devices.c.id == device)
            .returning(devices.c.id)
        )

        async def remove(connection: AsyncConnection) -> bool:
            return await connection.scalar(forget) is not None

        return await self._database.write(remove)
