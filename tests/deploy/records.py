"""Releases, as tests need them."""

from typing import Any

from shipway.deploy.releases import Image, Images, Release, Rendered

GATEWAY = Image("gateway:1", "sha256:gateway")


def release(number: int, resolved: dict[str, Any], addresses: dict[str, str] | None = None, **fields: Any) -> Release:
    """A release whose services answer at `http://SERVICE-vN:8000`, unless told otherwise."""
    started = [name for name, one in resolved.get("services", {}).items() if {"app", "command", "image"} & one.keys()]
    symbolic = {name: f"http://{name}-v{number}:8000" for name in started}
    return Release(
        **{
            "number": number,
            "app": "shop",
            "environment": "prod",
            "images": Images({name: Image(f"{name}:{number}", f"sha256:{name}{number}") for name in started}, GATEWAY),
            "source": resolved,
            "resolved": {"name": "shop", **resolved},
            "rendered": Rendered(addresses=addresses or symbolic, gateway={"host": "127.0.0.1"}),
            **fields,
        }
    )
