"""``tapekit tls``: the certificate of secure control connections.

What is shown can be given to clients: the fingerprint by voice, the
certificate as a file. A running server uses a renewed certificate for its
next connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, final

import typer
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificate

from tapekit.console import say, say_json
from tapekit_transport_tls.certificates import LIFE_DAYS, facts_of, make_certificate
from tapekit_transport_tls.errors import CATALOGUE
from tapekit_transport_tls.key_files import read_file, replace_file

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Sequence

    from tapekit_transport_tls.site import TlsSite

__all__ = ["command_app"]

_TIME: Final = "%Y-%m-%d %H:%M:%S UTC"


def command_app(site: Callable[[], TlsSite], now: Callable[[], dt.datetime]) -> typer.Typer:
    """The commands; ``site`` is asked when one of them runs."""
    app = typer.Typer(no_args_is_help=True, help="The certificate of secure control connections.")
    commands = _Commands(site, now)
    app.command("show")(commands.show)
    app.command("renew")(commands.renew)
    return app


@final
class _Commands:
    """One method a command; the docstring is its help."""

    def __init__(self, site: Callable[[], TlsSite], now: Callable[[], dt.datetime]) -> None:
        self._site: Final = site
        self._now: Final = now

    def show(
        self,
        as_json: Annotated[bool, typer.Option("--json", help="Answer with JSON.")] = False,
        pem: Annotated[
            bool, typer.Option("--pem", help="Print the certificate alone, for clients.")
        ] = False,
    ) -> None:
        """Show the certificate, and for which SVMs secure connections are on."""
        site = self._site()
        content = read_file(site.certificate)
        facts = facts_of(content, site.certificate)
        if pem:
            certificate = load_pem_x509_certificate(content).public_bytes(Encoding.PEM)
            for line in certificate.decode().splitlines():
                say(line)
            return
        row = {
            "certificate": str(site.certificate),
            "subject": facts.subject,
            "names": list(facts.names),
            "valid_from": facts.not_before.strftime(_TIME),
            "valid_until": facts.not_after.strftime(_TIME),
            "sha256": facts.fingerprint,
            "svms": list(site.svms),
        }
        if as_json:
            say_json(row)
            return
        for name, value in row.items():
            shown = ", ".join(value) or "none" if isinstance(value, list) else value
            say(f"{name.replace('_', ' '):>12}: {shown}")

    def renew(
        self,
        name: Annotated[
            list[str] | None,
            typer.Option(help="A host name or address of this server. [default: as before]"),
        ] = None,
        days: Annotated[int, typer.Option(min=1, max=36500, help="How long it holds.")] = LIFE_DAYS,
    ) -> None:
        """Make a new key and certificate in the place of the present ones."""
        site = self._site()
        if site.key is not None:
            raise CATALOGUE.error("certificate-not-ours", file=site.certificate, key=site.key)
        content = make_certificate(name or self._present_names(site), self._now(), days)
        replace_file(site.certificate, content)
        facts = facts_of(content, site.certificate)
        say(f"{site.certificate} holds until {facts.not_after.strftime(_TIME)}")
        say(f"SHA-256 fingerprint: {facts.fingerprint}")

    def _present_names(self, site: TlsSite) -> Sequence[str]:
        if not site.certificate.exists():
            return site.names
        return facts_of(read_file(site.certificate), site.certificate).names or site.names
