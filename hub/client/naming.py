"""Methods that are made of functions look like them to `help`, editors and `inspect`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


def named_like(function: Callable[..., object], method: F, returns: str) -> F:
    """Give a method the name, the docstring and the parameters of a function that makes a call or a series.

    It returns what that is a call for, in the form `returns`: `Call[Published]` and `{}` make `Published`.
    """
    signature = inspect.signature(function)
    this = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    result = returns.format(str(signature.return_annotation).partition("[")[2].removesuffix("]"))
    parameters = [this, *signature.parameters.values()]
    method.__name__ = function.__name__
    method.__qualname__ = function.__name__
    method.__doc__ = function.__doc__
    method.__dict__["__signature__"] = signature.replace(parameters=parameters, return_annotation=result)
    return method
