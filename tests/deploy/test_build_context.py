"""What goes into an image, and that its address follows from all of it and from nothing else."""

import os
import tarfile
from io import BytesIO
from pathlib import Path

import pytest

from shipway.deploy.build_context import Entry, archive_of, content_key, folder_entries, write_entries
from shipway.deploy.build_ignore import Ignored
from shipway.errors import BuildError

ALL = Ignored(())


def test_the_same_files_have_the_same_address_whatever_their_times_and_order(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name / "sub").mkdir(parents=True)
        for file in ("b.py", "a.py", "sub/c.py"):
            (tmp_path / name / file).write_text(file)
    os.utime(tmp_path / "two" / "a.py", (1, 1))
    one, two = (folder_entries(tmp_path / name, "app", ALL) for name in ("one", "two"))
    assert list(one) == ["app/a.py", "app/b.py", "app/sub/c.py"]
    assert content_key(one) == content_key(two)
    assert archive_of(one) == archive_of(two)


@pytest.mark.parametrize(
    "other",
    [
        {"a": Entry(b"2")},
        {"b": Entry(b"1")},
        {"a": Entry(b"1", is_executable=True)},
        {"a": Entry(link="1")},
        {"a": Entry(b"1"), "b": Entry()},
    ],
)
def test_any_difference_gives_another_address(other: dict[str, Entry]) -> None:
    assert content_key({"a": Entry(b"1")}) != content_key(other)
    assert content_key(other, "base", "id") != content_key(other, "base", "id2")


def test_the_archive_has_modes_and_links_and_no_owner(tmp_path: Path) -> None:
    entries = {"run.sh": Entry(b"#!/bin/sh\n", is_executable=True), "link": Entry(link="run.sh")}
    with tarfile.open(fileobj=BytesIO(archive_of(entries))) as tar:
        members = {member.name: (member.mode, member.linkname, member.uid, member.mtime) for member in tar}
    assert members == {"link": (0o644, "run.sh", 0, 0), "run.sh": (0o755, "", 0, 0)}
    write_entries(entries, tmp_path)
    assert folder_entries(tmp_path, "", ALL) == entries


def test_a_link_that_leaves_the_project_is_refused(tmp_path: Path) -> None:
    (tmp_path / "password").symlink_to("/etc/passwd")
    with pytest.raises(BuildError, match="a link to /etc/passwd, outside of what goes into the image"):
        folder_entries(tmp_path, "", ALL)
    assert folder_entries(tmp_path, "", Ignored(["password"])) == {}


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BuildError, match="neither a file nor a folder"):
        folder_entries(tmp_path, "", ALL)
