"""Local addresses, and who holds a port."""

import os
import re
import socket
import sys
from pathlib import Path

import pytest

from shipway.errors import PortTakenError, ShipwayError
from shipway.local.addresses import LOOPBACK, Address, address_of, check_free, free_port, listening_socket
from shipway.local.port_holder import Holder, listening_inodes, port_holder

PROC_NET_TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 31337 1 0000000000000000
   1: 0100007F:1F90 0100007F:D431 01 00000000:00000000 00:00000000 00000000  1000        0 31338 1 0000000000000000
   2: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 22222 1 0000000000000000
"""


def test_only_listeners_on_the_port_are_taken_from_the_kernels_table() -> None:
    assert listening_inodes(PROC_NET_TCP, 8080) == {31337: 1000}
    assert listening_inodes(PROC_NET_TCP, 22) == {22222: 0}
    assert listening_inodes(PROC_NET_TCP, 9) == {}


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="needs Linux's /proc")
def test_a_taken_port_names_the_process_that_listens() -> None:
    with listening_socket() as listener:
        port = address_of(listener).port

        holder = port_holder(port)

        assert holder.pid == os.getpid()
        assert Path(sys.executable).name in (holder.command or "") or "pytest" in (holder.command or "")
        with pytest.raises(PortTakenError, match=rf"port {port} is taken by process {os.getpid()} \(") as caught:
            check_free(Address(LOOPBACK, port), "--port")
        assert re.search(r"--port \d+", caught.value.hint or "")


def test_an_ipv6_listener_is_found_too() -> None:
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 here")
    with listener, pytest.raises(PortTakenError, match=f"process {os.getpid()}"):
        check_free(Address("::1", listener.getsockname()[1]), "--port")


def test_a_free_port_passes() -> None:
    check_free(Address(LOOPBACK, free_port(set())), "--port")


def test_an_address_of_another_machine_is_said_so() -> None:
    with pytest.raises(ShipwayError, match=r"cannot listen on 192\.0\.2\.1:8080: "):
        check_free(Address("192.0.2.1", 8080), "--port")


def test_a_free_port_is_none_of_those_that_are_taken() -> None:
    allotted: set[int] = set()
    for _ in range(20):
        port = free_port(allotted)
        assert port not in allotted
        allotted.add(port)


@pytest.mark.parametrize(
    ("holder", "text"),
    [
        (Holder(12, "python app.py"), "process 12 (python app.py)"),
        (Holder(12, None), "process 12"),
        (Holder(None, None, "www-data"), "a process of user www-data"),
        (Holder(None, None), "another process"),
    ],
)
def test_a_holder_says_what_is_known(holder: Holder, text: str) -> None:
    assert str(holder) == text
