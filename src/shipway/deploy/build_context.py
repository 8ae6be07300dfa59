"""What goes into an image, as one value: files by path, their content address, and the archive that a builder takes."""

import hashlib
import os
import stat
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from shipway.deploy.build_ignore import Ignored
from shipway.errors import BuildError

MAX_CONTEXT_BYTES = 1024 * 1024 * 1024
KEY_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Entry:
    """One file, or a link when *link* says where to."""

    content: bytes = b""
    is_executable: bool = False
    link: str | None = None


Entries = Mapping[str, Entry]


def texts(files: Mapping[str, str]) -> dict[str, Entry]:
    return {path: Entry(text.encode()) for path, text in files.items()}


def folder_entries(folder: Path, below: str, ignored: Ignored) -> dict[str, Entry]:
    """The files of *folder* that are not ignored, by path below *below*.

    Raises:
        BuildError: They cannot be read, or are more than an image should hold.
    """
    result: dict[str, Entry] = {}
    size_bytes = 0
    for path in _paths(folder, ignored):
        entry = _entry(folder / path, folder)
        size_bytes += len(entry.content)
        if size_bytes > MAX_CONTEXT_BYTES:
            raise BuildError(
                f"{folder} has more than {MAX_CONTEXT_BYTES >> 20} MiB for an image, among it {path}",
                "exclude data in .dockerignore or build.exclude, and mount or download it at run time",
            )
        result[f"{below}/{path}" if below else path] = entry
    return result


def content_key(entries: Entries, *besides: str) -> str:
    """Hexadecimal digits that follow from every path, mode and byte, and from *besides*; never from times or owners."""
    digest = hashlib.sha256()
    for text in besides:
        digest.update(b"\0%d:%b" % (len(text.encode()), text.encode()))
    for path, entry in sorted(entries.items()):
        kind = b"l" if entry.link is not None else b"x" if entry.is_executable else b"f"
        content = entry.content if entry.link is None else entry.link.encode()
        digest.update(
            b"\1%b\0%b\0%b" % (kind, path.encode("utf-8", "surrogateescape"), hashlib.sha256(content).digest())
        )
    return digest.hexdigest()[:KEY_DIGITS]


def archive_of(entries: Entries) -> bytes:
    """The archive, byte by byte the same for the same entries."""
    buffer = BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, entry in sorted(entries.items()):
            member = tarfile.TarInfo(path)
            member.mode = 0o755 if entry.is_executable else 0o644
            if entry.link is not None:
                member.type, member.linkname = tarfile.SYMTYPE, entry.link
            member.size = len(entry.content)
            tar.addfile(member, BytesIO(entry.content))
    return buffer.getvalue()


def write_entries(entries: Entries, folder: Path) -> None:
    """The same as files below *folder*, which plain `docker build` takes."""
    for path, entry in sorted(entries.items()):
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if entry.link is not None:
            file.unlink(missing_ok=True)
            file.symlink_to(entry.link)
            continue
        file.write_bytes(entry.content)
        file.chmod(0o755 if entry.is_executable else 0o644)


def _paths(folder: Path, ignored: Ignored) -> Iterator[str]:
    """Relative paths in a fixed order; folders behind links are not entered."""
    for parent, folders, files in os.walk(folder, onerror=_raise):
        at = os.path.relpath(parent, folder)
        prefix = "" if at == "." else f"{at}/"
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        folders[:] = sorted(
            name for name in folders if name not in links and not ignored.skips_folder(f"{prefix}{name}")
        )
        yield from (f"{prefix}{name}" for name in sorted([*files, *links]) if not ignored(f"{prefix}{name}"))


def _entry(file: Path, folder: Path) -> Entry:
    try:
        status = file.lstat()
        if stat.S_ISLNK(status.st_mode):
            target = os.readlink(file)
            if os.path.isabs(target) or not file.resolve().is_relative_to(folder.resolve()):
                raise BuildError(
                    f"{file} is a link to {target}, outside of what goes into the image", "copy the file, or exclude it"
                )
            return Entry(link=target)
        if not stat.S_ISREG(status.st_mode):
            raise BuildError(f"{file} is neither a file nor a folder, so it cannot go into an image", "exclude it")
        return Entry(file.read_bytes(), bool(status.st_mode & stat.S_IXUSR))
    except OSError as error:
        raise _unreadable(error) from error


def _raise(error: OSError) -> None:
    raise _unreadable(error) from error


def _unreadable(error: OSError) -> BuildError:
    return BuildError(
        f"{error.filename} cannot be read: {error.strerror}", "exclude it in .dockerignore or build.exclude"
    )
