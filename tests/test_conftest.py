import os
import socket

import pytest


def test_the_network_is_out_of_reach_and_this_machine_is_not():
    for host in ("192.0.2.1", "example.org"):
        with socket.socket() as outside, pytest.raises(RuntimeError, match="a test tried to reach"):
            outside.connect((host, 80))
    with socket.socket(socket.AF_INET6) as outside, pytest.raises(RuntimeError, match="a test tried to reach"):
        outside.connect_ex(("2001:db8::1", 80))
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as inside:
        assert inside.getpeername() == server.getsockname()


def test_one_thread():
    assert os.environ["OMP_NUM_THREADS"] == "1"
