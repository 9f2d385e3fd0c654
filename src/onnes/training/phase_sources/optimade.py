"""Any database with an OPTIMADE interface (Andersen et al., Sci. Data 8, 217 (2021)), page by page."""

from __future__ import annotations

import json
import time
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit
from urllib.request import Request, urlopen

from onnes.errors import ConfigError
from onnes.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onnes.training.phase_sources.request import PhaseRequest

_FIELDS = "lattice_vectors,cartesian_site_positions,species,species_at_sites,dimension_types,nsites"
_PAGE = 100
_TRIES = 4
_BUSY = (429, 500, 502, 503, 504)
_TIMEOUT_s = 60.0
_MAX_BYTES = 500_000_000


def optimade_phases(url: str, request: PhaseRequest, *, wait_s: float = 2.0) -> Iterator[dict[str, Any]]:
    """Crystals of a database, one OPTIMADE structure object each.

    Parameters
    ----------
    url
        Base address of the database, with or without ``/v1/structures``.
    request
        Which crystals; the server does the selecting.
    wait_s
        Pause before a busy server is asked again, doubled each time.

    Raises
    ------
    ConfigError
        When the address is none, the server does not answer, or answers something else.
    """
    if request.within_eV_per_atom is not None:
        raise ConfigError(
            "OPTIMADE knows no energy above hull; leave --within out, or use the sources mp or alexandria"
        )
    conditions = [f"nsites<={request.max_atoms}"]
    if request.elements:
        conditions.append("elements HAS ONLY " + ",".join(f'"{symbol}"' for symbol in request.elements))
    query = {"filter": " AND ".join(conditions), "response_fields": _FIELDS, "page_limit": str(_PAGE)}
    page: str | None = f"{_endpoint(url)}?{urlencode(query)}"
    seen: set[str] = set()
    while page is not None:
        seen.add(page)
        document = _get(page, wait_s)
        if not isinstance(document, dict) or not isinstance(document.get("data"), list):
            raise ConfigError(f"{page}: the answer is no list of OPTIMADE structures; check the address")
        yield from (item for item in document["data"] if isinstance(item, dict))
        page = _next_page(document, page)
        if page in seen:
            raise ConfigError(
                f"{page}: the server names a page twice; ask its maintainers, or use a dump of the database"
            )


def _endpoint(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ConfigError(f"{url!r} is no address; give one such as https://optimade.materialsproject.org")
    path = parts.path.rstrip("/")
    last = path.rsplit("/", 1)[-1]
    if last != "structures":
        path += "/structures" if last[:1] == "v" and last[1:].replace(".", "").isdigit() else "/v1/structures"
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


def _next_page(document: dict[str, Any], page: str) -> str | None:
    link = (document.get("links") or {}).get("next")
    link = link.get("href") if isinstance(link, dict) else link
    if not link:
        return None
    address = urljoin(page, link)
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https"):
        raise ConfigError(f"{page}: the next page {link!r} is no address")
    query = dict(parse_qsl(parts.query))
    if "response_fields" in query:
        return address
    # Some servers forget the fields that were asked for, and their next pages come without atoms.
    return urlunsplit((*parts[:3], urlencode({**query, "response_fields": _FIELDS}), ""))


def _get(address: str, wait_s: float) -> Any:
    headers = {"User-Agent": f"onnes/{__version__}", "Accept": "application/vnd.api+json, application/json"}
    for attempt in range(_TRIES):
        last = attempt == _TRIES - 1
        try:
            with urlopen(Request(address, headers=headers), timeout=_TIMEOUT_s) as answer:  # noqa: S310 - checked to be http
                data = answer.read(_MAX_BYTES)
            return json.loads(data)
        except HTTPError as error:
            if last or error.code not in _BUSY:
                detail = " ".join(error.read(300).decode(errors="replace").split())
                raise ConfigError(f"{address}: the server answers {error.code} {error.reason}: {detail}") from error
        except (URLError, HTTPException, OSError) as error:
            if last:
                raise ConfigError(f"{address}: no answer ({error}); check the address and the network") from error
        except ValueError as error:
            raise ConfigError(f"{address}: the answer is no JSON ({error}); check the address") from error
        time.sleep(wait_s * 2**attempt)
    return None
