"""Which providers this process asks: those it takes hints of, and who makes its vectors."""

import logging
from collections.abc import Iterable, Mapping

from promptmill.schema.errors import SettingsError
from promptmill.schema.presence import NO_KEY
from promptmill.schema.settings import Settings
from promptmill.workers.providers.lean import LeanClient
from promptmill.workers.served import Served, serve

_log = logging.getLogger(__name__)


class Roster:
    """The providers of one process, by name, all over one *http*.

    Entries of `served` and `beside` are replaced when limits change (see `Allowances`).
    """

    def __init__(self, settings: Settings, http: LeanClient) -> None:
        self._settings, self._http = settings, http
        self.served: dict[str, Served] = {}
        self.beside: dict[str, Served] = {}
        """who is asked for vectors, where no hints of it are taken"""
        self.missing: dict[str, str] = {}
        """who has no key here, and why"""

    def open(self, names: Iterable[str]) -> None:
        """Open each of *names* that there is a key for. For a thread: it imports their SDKs."""
        settings, network = self._settings.providers, self._settings.network
        for name in names:
            try:
                self.served[name] = serve(name, settings[name], self._http, network)
            except SettingsError as error:
                _log.error("%s", error)
                self.missing[name] = str(error)

    def open_embedder(self) -> None:
        """Open the provider that is asked for vectors, where it is none of those served."""
        asked = self._settings.cache.asked
        if asked is None or asked[0] in self.served:
            return
        try:
            name, network = asked[0], self._settings.network
            found = self._settings.providers.get(name)
            if found is None:
                msg = f"cache.embedder names the provider {name}, and there is none"
                raise SettingsError(msg)
            self.beside[name] = serve(name, found, self._http, network)
        except SettingsError as error:
            _log.error("%s", error)

    def embedder(self) -> Served:
        """Tell who is asked for vectors, as limits hold for it now. Raises SettingsError."""
        name, _ = self._settings.cache.asked or ("", "")
        found = self.served.get(name) or self.beside.get(name)
        if found is None:
            msg = f"cache.embedder names {name}, which this worker cannot ask"
            raise SettingsError(msg)
        return found

    def keys(self) -> Mapping[str, str]:
        """Tell the fingerprint of each provider's key, and NO_KEY of one that has none here."""
        keys = {name: served.fingerprint for name, served in self.served.items()}
        return keys | dict.fromkeys(self.missing, NO_KEY)

    async def close(self) -> None:
        """Close the adapters; *http* is left open."""
        for served in (*self.served.values(), *self.beside.values()):
            await served.adapter.close()
