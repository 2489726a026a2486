from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from embedded.valkey import Valkey
from live import store
from live.hub import Hub
from live.hub import hub as process_hub


def payload(version: int) -> bytes:
    return b'{"version":%d}' % version


@pytest.fixture(scope="session")
def shared_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    server = Valkey(tmp_path_factory.mktemp("valkey"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def valkey(shared_valkey: Valkey, settings) -> Valkey:
    """A Valkey that stays up."""
    settings.REDIS_URL = shared_valkey.url
    return shared_valkey


@pytest.fixture
def own_valkey(tmp_path: Path, settings) -> Iterator[Valkey]:
    """A Valkey for one test, to be killed and started again."""
    server = Valkey(tmp_path)
    server.start()
    settings.REDIS_URL = server.url
    yield server
    server.stop()


@pytest.fixture
def sale_id() -> UUID:
    return uuid4()


@pytest.fixture
def publish(sale_id: UUID) -> Callable[[int], bool]:
    """Stores and publishes the sale's frame with this version."""
    return lambda version: store.put(sale_id, version, payload(version))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def hub(valkey: Valkey) -> AsyncIterator[Hub]:
    """The process' hub, on the test's loop."""
    yield process_hub
    process_hub.fallback_read = None
    await process_hub.close()
