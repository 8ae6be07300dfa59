"""Media types and data addresses, which dialects write in different ways."""

from __future__ import annotations

from shipway.gateway.dialects.conversation import Document, Image

DOCUMENT_FORMATS = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/html": "html",
    "text/plain": "txt",
    "text/markdown": "md",
}
DOCUMENT_TYPES = {name: media_type for media_type, name in DOCUMENT_FORMATS.items()}

AUDIO_TYPES = {
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "aac": "audio/aac",
    "opus": "audio/opus",
    "webm": "audio/webm",
    "m4a": "audio/m4a",
}
AUDIO_FORMATS = {media_type: name for name, media_type in AUDIO_TYPES.items()} | {
    "audio/x-wav": "wav",
    "audio/mp3": "mp3",
}


def split_data_url(url: str) -> tuple[str, str] | None:
    """Media type and base64 data of a data URL; None for another address. Source: RFC 2397."""
    if not url.startswith("data:"):
        return None
    head, comma, data = url[5:].partition(",")
    if not comma or not head.endswith(";base64"):
        return None
    return head.removesuffix(";base64").partition(";")[0], data


def data_url(media_type: str | None, data: str) -> str:
    return f"data:{media_type or 'application/octet-stream'};base64,{data}"


def image_from(url: str, detail: str | None = None, at: str = "") -> Image:
    """`auto` is what no detail means."""
    detail = None if detail == "auto" else detail
    split = split_data_url(url)
    if split is None:
        return Image(url=url, detail=detail, at=at)
    return Image(split[0], split[1], detail=detail, at=at)


def image_url(image: Image) -> str:
    return data_url(image.media_type, image.data) if image.data is not None else image.url or ""


def document_from(url: str, title: str | None, at: str) -> Document:
    split = split_data_url(url)
    if split is None:
        return Document(url=url, title=title, at=at)
    return Document(split[0], split[1], title=title, at=at)
