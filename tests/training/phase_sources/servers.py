"""A web server on this machine that answers as a test tells it to."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


@contextmanager
def server(answer):
    """Serve ``answer(path, query, headers) -> (status, JSON or bytes)``; yields the address and the requests seen."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            parts = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(parts.query).items()}
            seen.append((parts.path, query))
            status, body = answer(parts.path, query, dict(self.headers))
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=web.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{web.server_port}", seen
    finally:
        web.shutdown()
        web.server_close()
        thread.join()


def optimade_object(name, structure):
    """OPTIMADE structure object of a pymatgen structure, as a database would send it."""
    return {
        "id": name,
        "type": "structures",
        "attributes": {
            "lattice_vectors": structure.lattice.matrix.tolist(),
            "cartesian_site_positions": structure.cart_coords.tolist(),
            "species_at_sites": [site.specie.symbol for site in structure],
            "species": [
                {"name": e.symbol, "chemical_symbols": [e.symbol], "concentration": [1.0]} for e in structure.elements
            ],
            "dimension_types": [1, 1, 1],
            "nsites": len(structure),
        },
    }
