"""The forms in which bytes travel to and from the engine: archives of files, and output in which two streams are mixed."""

import tarfile
import time
from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import IO


def archive(files: Mapping[str, bytes], *, owner: int, mode: int) -> bytes:
    """A tar archive of *files*, content by absolute path. Folders above them are made, the last one for the owner alone."""
    buffer = BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, content in sorted(files.items()):
            member = tarfile.TarInfo(path.lstrip("/"))
            member.size, member.mode, member.uid, member.gid = len(content), mode, owner, owner
            member.mtime = time.time()  # whoever watches the file must see that it is another one
            tar.addfile(member, BytesIO(content))
    return buffer.getvalue()


def frames(stream: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """The pieces of a stream in which the engine mixes two: 8 bytes of head (which one, length), then the piece."""
    while len(head := stream.read(8)) == 8:
        yield head[0], stream.read(int.from_bytes(head[4:]))
