"""How an operation of the interface is described; `hub.api.reference` is the table of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from http import HTTPStatus

from hub.core.errors import (
    BodyTooLarge,
    Forbidden,
    InvalidRequest,
    MalformedBody,
    RequestError,
    Unauthenticated,
    Unavailable,
    UnsupportedMediaType,
)

LATER = "<later>"
"""Stands in an example for a time that lies ahead whenever the reference is read."""


class Access(Enum):
    """Whose credentials an operation takes; the values are security schemes, any one of which is enough."""

    PUBLISHER = ("ApiKey",)
    USER = ("UserToken",)
    STREAM = ("UserToken", "Ticket")
    EITHER = ("ApiKey", "UserToken")
    NOBODY = ()


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter in the path, query or header."""

    name: str
    place: str
    description: str
    schema: Mapping[str, object] = field(default_factory=lambda: {"type": "string"})
    example: object = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A success: its model (None: no body, or one that is not JSON), and what it means."""

    description: str
    model: object = None
    media_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path."""

    method: str
    path: str
    id: str
    tag: str
    summary: str
    access: Access
    answers: Mapping[int, Answer]
    description: str = ""
    parameters: tuple[Parameter, ...] = ()
    body: object = None
    example: Mapping[str, object] = field(default_factory=dict)
    refusals: tuple[type[RequestError], ...] = ()
    """Beyond those that follow from having credentials or a body, and from using the database."""
    body_required: bool = True

    @property
    def problems(self) -> list[type[RequestError]]:
        """Every problem that this operation may answer with, by status; a WebSocket says them in its own way."""
        if HTTPStatus.SWITCHING_PROTOCOLS in self.answers:
            return []
        found: set[type[RequestError]] = set(self.refusals)
        if self.access is not Access.NOBODY:
            found |= {Unauthenticated, Unavailable}
        if self.access in {Access.PUBLISHER, Access.USER, Access.EITHER}:
            found.add(Forbidden)
        if self.body is not None:
            found |= {MalformedBody, BodyTooLarge, UnsupportedMediaType, InvalidRequest}
        return sorted(found, key=lambda problem: problem.status)
