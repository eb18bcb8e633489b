"""Who may reach a server: the address it listens on, the names it answers to, the password it asks for."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

USERNAME = "admin"
PASSWORD = "MLFLOW_AUTH_ADMIN_PASSWORD"  # noqa: S105 - the name of a variable
SECRET_KEY = "MLFLOW_FLASK_SERVER_SECRET_KEY"  # noqa: S105 - the same
SHORTEST_PASSWORD, SHORTEST_SECRET_KEY = 12, 16
PUBLISHED_PASSWORD = "password1234"  # noqa: S105 - MLflow came with it for years; refused

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
# What a browser shows beside the address says the same; whoever gives an address should hear it from us.
UNENCRYPTED = (
    "There is no encryption: across a network you don't trust, go through an SSH tunnel or a reverse proxy"
    " with TLS."
)

_HOST_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")


class AccessError(ValueError):
    """A server would be open to others without protection, or the request for it makes no sense.

    Attributes:
        problems: One line each, saying what to set.
    """

    def __init__(self, problems: list[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(problems))


@dataclass(frozen=True)
class Credentials:
    """The account that a browser must log in with; neither secret is part of its text.

    Attributes:
        password: Of the user `USERNAME`.
        secret_key: What MLflow signs its forms with.
    """

    password: str = field(repr=False)
    secret_key: str = field(repr=False)


@dataclass(frozen=True)
class Access:
    """Where a server listens and for whom.

    Attributes:
        host: IP address to listen on.
        names: Host names, or addresses as they stand in a URL, under which browsers elsewhere reach it.
        credentials: The account that is asked for; None asks for none.

    Raises:
        AccessError: Others may reach it, at its address or under a name, and there are no credentials.
    """

    host: str = "127.0.0.1"
    names: tuple[str, ...] = ()
    credentials: Credentials | None = None

    def __post_init__(self) -> None:
        if not is_loopback(self.host) and self.credentials is None:
            raise AccessError([f"host: beyond loopback a password is needed, but got {self.host!r} and none"])
        if self.names and self.credentials is None:
            raise AccessError([f"names: with {', '.join(self.names)} a password is needed, but got none"])

    @property
    def hosts(self) -> tuple[str, ...]:
        """Every host name that is answered to, lower case, without ports."""
        own = () if ipaddress.ip_address(self.host).is_unspecified else (in_url(self.host),)
        return tuple(dict.fromkeys((*LOOPBACK, *own, *self.names)))

    @property
    def contact(self) -> str:
        """The address at which this machine itself reaches the server."""
        address = ipaddress.ip_address(self.host)
        if not address.is_unspecified:
            return self.host
        return "127.0.0.1" if address.version == 4 else "::1"

    def url(self, port: int) -> str:
        """The address to give to people."""
        return f"http://{self.names[0] if self.names else in_url(self.contact)}:{port}"


def is_loopback(host: str) -> bool:
    """Whether an IP address is reached from this machine alone.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    return ipaddress.ip_address(host).is_loopback


def in_url(address: str) -> str:
    """An IP address as it stands in a URL and in a Host header.

    >>> in_url("10.0.0.7"), in_url("::1")
    ('10.0.0.7', '[::1]')
    """
    return f"[{address}]" if ":" in address else address


LOOPBACK_ONLY = Access()


def read_access(
    host: str, allowed_hosts: str, environment: Mapping[str, str], *, proxied: bool = False
) -> Access:
    """What the command line and the environment say, checked.

    On loopback no password is needed, but one that is set is asked for there too: other users of the same
    machine reach loopback as well.

    Args:
        host: An IP address, or `localhost`.
        allowed_hosts: Names separated by commas.
        environment: May hold the variables `PASSWORD` and `SECRET_KEY`.
        proxied: As in `read_place`.

    Raises:
        AccessError: All problems at once; none quotes a password.
    """
    problems: list[str] = []
    address, names = _read_place(host, allowed_hosts, proxied, problems)
    beyond = address is not None and (not is_loopback(address) or (proxied and bool(allowed_hosts)))
    credentials = _read_credentials(beyond, environment, problems)
    if problems or address is None:
        raise AccessError(problems)
    return Access(address, names, credentials)


def read_place(host: str, allowed_hosts: str, *, proxied: bool = False) -> tuple[str, tuple[str, ...]]:
    """The address and the names of `read_access`, without a look at passwords.

    Args:
        host: An IP address, or `localhost`.
        allowed_hosts: Names separated by commas.
        proxied: Names on loopback make sense, as a reverse proxy of this machine passes on what comes under
            them; else they are refused.

    Raises:
        AccessError: All problems at once.
    """
    problems: list[str] = []
    address, names = _read_place(host, allowed_hosts, proxied, problems)
    if problems or address is None:
        raise AccessError(problems)
    return address, names


def _read_place(
    host: str, allowed_hosts: str, proxied: bool, problems: list[str]
) -> tuple[str | None, tuple[str, ...]]:
    names = _read_names(allowed_hosts, problems)
    address = _read_address(host, problems)
    if address is not None and is_loopback(address) and allowed_hosts and not proxied:
        problems.append(
            "--allowed-hosts: names matter only beyond this machine, but --host is"
            f" {host}; give --host ADDRESS too"
        )
    if address is not None and ipaddress.ip_address(address).is_unspecified and not allowed_hosts:
        problems.append(
            f"--allowed-hosts: --host {host} listens on every address, so the names that browsers use for"
            " this machine are needed, but got none: --allowed-hosts NAME,..."
        )
    return address, names


def _read_address(host: str, problems: list[str]) -> str | None:
    if host.lower() == "localhost":
        return "127.0.0.1"
    try:
        return str(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        problems.append(f"--host: an IP address of this machine, or localhost, is needed, but got {host!r}")
        return None


def _read_names(text: str, problems: list[str]) -> tuple[str, ...]:
    names = []
    for name in text.split(",") if text else ():
        named = _read_name(name.strip().lower())
        if named is None:
            problems.append(
                "--allowed-hosts: a host name or address without port, and without wildcards, is needed,"
                f" but got {name!r}"
            )
        else:
            names.append(named)
    return tuple(dict.fromkeys(names))


def _read_name(name: str) -> str | None:
    try:
        return in_url(str(ipaddress.ip_address(name.strip("[]"))))
    except ValueError:
        return name if _HOST_NAME.fullmatch(name) else None


def _read_credentials(
    needed: bool, environment: Mapping[str, str], problems: list[str]
) -> Credentials | None:
    password, secret_key = environment.get(PASSWORD, ""), environment.get(SECRET_KEY, "")
    if not (needed or password or secret_key):
        return None
    if len(password) < SHORTEST_PASSWORD or not password.isprintable():
        problems.append(
            f"{PASSWORD}: a password of at least {SHORTEST_PASSWORD} printable characters is needed, but got"
            f" {len(password)}; set this environment variable"
        )
    if password == PUBLISHED_PASSWORD:
        problems.append(f"{PASSWORD}: a password of your own is needed, but got the one MLflow published")
    if len(secret_key) < SHORTEST_SECRET_KEY:
        problems.append(
            f"{SECRET_KEY}: a key of at least {SHORTEST_SECRET_KEY} characters is needed, but got"
            f" {len(secret_key)}; set this environment variable, say to what `openssl rand -hex 32` prints"
        )
    return Credentials(password, secret_key)
