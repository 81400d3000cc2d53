"""Clients for those who want to hold one over several calls: virt_s3's sessions."""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from dataclasses import replace
from functools import partial, wraps
from typing import TYPE_CHECKING, Any

from .params import Params, get_default_params
from .registry import backend_of, get_storage, has_clients
from .session import ClientOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType


def get_session_client(
    params: Params | None = None,
    *,
    aws_access_key_id: str | None = None,
    aws_secret_access_key: str | None = None,
    aws_session_token: str | None = None,
    region_name: str | None = None,
    profile_name: str | None = None,
    botocore_session: Any = None,
    api_version: str | None = None,
    use_ssl: bool | None = None,
    verify: bool | str | None = None,
    endpoint_url: str | None = None,
    config: Any = None,
) -> Any:
    """Make a boto3 S3 client, which whoever asks for it closes.

    Parameters
    ----------
    params
        Where the bucket is; None means :func:`~s3bids.storage.get_default_params`.
    aws_access_key_id, aws_secret_access_key, aws_session_token, region_name, profile_name, endpoint_url
        Take the place of what `params` say.
    botocore_session, api_version, use_ssl, verify, config
        As in boto3.

    Returns
    -------
    boto3 client or None
        None for the local emulation, which has none.

    Raises
    ------
    ValueError
        If `params` are of another type, or one part of a pair of keys is missing.
    """
    params = get_default_params() if params is None else params
    backend = backend_of(params)
    if not has_clients(backend):
        return None
    changes: dict[str, Any] = {"region_name": region_name, "profile_name": profile_name, "endpoint_url": endpoint_url}
    changes = {name: value for name, value in changes.items() if value is not None}
    keys = (aws_access_key_id, aws_secret_access_key, aws_session_token)
    if any(keys):
        # A token belongs to its keys.
        changes |= dict(zip(("aws_access_key_id", "aws_secret_access_key", "aws_session_token"), keys, strict=True))
    elif profile_name is not None:
        changes |= dict.fromkeys(("aws_access_key_id", "aws_secret_access_key", "aws_session_token"))
    if any(keys) or profile_name is not None:
        changes["anon"] = False
    options = ClientOptions(botocore_session, api_version, use_ssl, verify, config)
    return backend.make_client(replace(params, **changes), options)


class SessionManager:
    """Hold a client for the calls of a ``with`` block.

    The block gets a boto3 S3 client, or None in the local emulation. A client that was made here is closed at the end,
    unless `keep_open`; one that was given stays as it is. Errors inside the block pass unchanged.

    Parameters
    ----------
    params
        Where the bucket is; None means :func:`~s3bids.storage.get_default_params`.
    client
        A client to use instead of a new one; the local emulation has none.
    keep_open
        Do not close the client that was made here.
    aws_access_key_id, aws_secret_access_key, aws_session_token, region_name, profile_name, botocore_session, \
    api_version, use_ssl, verify, endpoint_url, config
        As in :func:`get_session_client`.

    Raises
    ------
    ValueError
        If `params` are of another type, or a client is given where none is used.
    """

    def __init__(
        self,
        params: Params | None = None,
        client: Any = None,
        keep_open: bool = False,  # noqa: FBT001, FBT002 - virt_s3's signature
        *,
        aws_access_key_id: str | None = None,
        aws_secret_access_key: str | None = None,
        aws_session_token: str | None = None,
        region_name: str | None = None,
        profile_name: str | None = None,
        botocore_session: Any = None,
        api_version: str | None = None,
        use_ssl: bool | None = None,
        verify: bool | str | None = None,
        endpoint_url: str | None = None,
        config: Any = None,
    ) -> None:
        self.params = get_default_params() if params is None else params
        self.client = client
        self.keep_open = keep_open
        self._is_given = client is not None
        # Refuses parameters of no backend, and a client where there is none; nothing is opened.
        get_storage(self.params, client=client)
        self._make = partial(
            get_session_client,
            aws_access_key_id=aws_access_key_id,
            aws_secret_access_key=aws_secret_access_key,
            aws_session_token=aws_session_token,
            region_name=region_name,
            profile_name=profile_name,
            botocore_session=botocore_session,
            api_version=api_version,
            use_ssl=use_ssl,
            verify=verify,
            endpoint_url=endpoint_url,
            config=config,
        )

    def __repr__(self) -> str:
        return f"SessionManager({self.params!r})"

    def __enter__(self) -> Any:
        if not self._is_given:
            self.client = self._make(self.params)
        return self.client

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.client is not None and not self._is_given and not self.keep_open:
            self.client.close()


def with_session(func: Callable[..., Any]) -> Callable[..., Any]:
    """Give a function the keywords `params` and `client` where its caller does not, for the time of the call.

    A client that is made for a call is closed at its end; for a generator function, when the generator ends.

    Parameters
    ----------
    func
        A function with the parameters `params` and `client`.

    Raises
    ------
    TypeError
        If `func` takes no such parameters, or is a coroutine function: its session would end before it begins.
    """
    name = getattr(func, "__qualname__", repr(func))
    if inspect.iscoroutinefunction(func) or inspect.isasyncgenfunction(func):
        raise TypeError(f"with_session serves plain functions, and {name} is a coroutine function")
    signature = inspect.signature(func)
    taken = signature.parameters
    if not {"params", "client"} <= taken.keys() and not any(p.kind is p.VAR_KEYWORD for p in taken.values()):
        raise TypeError(f"with_session gives the keywords params and client, which {name} does not take")

    @contextmanager
    def session(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Give the keywords of a call, with those that were missing."""
        by_position = signature.bind_partial(*args).arguments
        given = {**by_position, **kwargs}
        manager = SessionManager(given.get("params"), given.get("client"))
        with manager as client:
            fresh = {"params": manager.params, "client": client}
            yield {**kwargs, **{key: value for key, value in fresh.items() if key not in by_position}}

    @wraps(func)
    def call(*args: Any, **kwargs: Any) -> Any:
        with session(args, kwargs) as filled:
            return func(*args, **filled)

    @wraps(func)
    def generate(*args: Any, **kwargs: Any) -> Any:
        with session(args, kwargs) as filled:
            yield from func(*args, **filled)

    return generate if inspect.isgeneratorfunction(func) else call


__all__ = ["SessionManager", "get_session_client", "with_session"]
