import pytest

from mlflow_server.access import (
    PASSWORD,
    SECRET_KEY,
    Access,
    AccessError,
    Credentials,
    in_url,
    is_loopback,
    read_access,
    read_place,
)

EVERYWHERE = "0.0.0.0"  # noqa: S104 - nothing is bound here
GOOD = {PASSWORD: "correct horse battery", SECRET_KEY: "0123456789abcdef"}


def problems(host, names="", environment=None):
    with pytest.raises(AccessError) as raised:
        read_access(host, names, environment or {})
    return raised.value.problems


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST", "::1", "[::1]", "127.3.2.1"])
def test_loopback_needs_no_password_and_answers_to_its_own_names(host):
    access = read_access(host, "", {})
    assert is_loopback(access.host)
    assert access.credentials is None
    assert {"localhost", "127.0.0.1", "[::1]", in_url(access.host)} == set(access.hosts)


@pytest.mark.parametrize("host", ["10.0.0.7", EVERYWHERE, "::", "192.168.1.5", "fe80::1", "2001:db8::1"])
def test_beyond_loopback_both_variables_are_asked_for_at_once(host):
    lines = problems(host, "lab.example")
    assert [line.partition(":")[0] for line in lines] == [PASSWORD, SECRET_KEY]
    assert all("set this environment variable" in line for line in lines)


@pytest.mark.parametrize("host", ["10.0.0.7", EVERYWHERE])
def test_nothing_opens_beyond_loopback_without_credentials_whoever_asks(host):
    with pytest.raises(AccessError, match="beyond loopback a password is needed"):
        Access(host)


def test_no_name_is_answered_to_without_credentials_whoever_asks():
    with pytest.raises(AccessError, match=r"with mlflow\.lab a password is needed"):
        Access("127.0.0.1", ("mlflow.lab",))


@pytest.mark.parametrize("host", [EVERYWHERE, "::"])
def test_listening_everywhere_needs_names(host):
    (line,) = problems(host, environment=GOOD)
    assert line.startswith("--allowed-hosts: ")
    assert read_access(host, "lab.example", GOOD).hosts[-1] == "lab.example"
    assert host not in read_access(host, "lab.example", GOOD).hosts


def test_one_address_answers_to_itself_the_given_names_and_loopback():
    access = read_access("10.0.0.7", "Lab.Example,lab, 2001:db8::2 ,lab", GOOD)
    assert access.hosts == (
        "127.0.0.1",
        "localhost",
        "[::1]",
        "10.0.0.7",
        "lab.example",
        "lab",
        "[2001:db8::2]",
    )
    assert access.url(80) == "http://lab.example:80"
    assert read_access("10.0.0.7", "", GOOD).url(80) == "http://10.0.0.7:80"


@pytest.mark.parametrize(
    ("host", "names", "contact"),
    [
        (EVERYWHERE, "lab", "127.0.0.1"),
        ("::", "lab", "::1"),
        ("10.0.0.7", "", "10.0.0.7"),
        ("::1", "", "::1"),
    ],
)
def test_this_machine_finds_its_own_server(host, names, contact):
    assert read_access(host, names, GOOD).contact == contact


def test_names_without_an_address_would_do_nothing_and_are_refused():
    (line,) = problems("127.0.0.1", "lab.example")
    assert line.startswith("--allowed-hosts: names matter only beyond this machine")


def test_behind_a_proxy_names_on_loopback_make_sense_and_need_a_password():
    access = read_access("127.0.0.1", "Lab.Example", GOOD, proxied=True)
    assert (access.host, access.hosts[-1]) == ("127.0.0.1", "lab.example")
    with pytest.raises(AccessError) as raised:
        read_access("127.0.0.1", "lab.example", {}, proxied=True)
    assert [line.partition(":")[0] for line in raised.value.problems] == [PASSWORD, SECRET_KEY]
    assert read_access("127.0.0.1", "", {}, proxied=True).credentials is None


def test_a_place_is_read_without_passwords_and_refused_as_with_them():
    assert read_place("localhost", "") == ("127.0.0.1", ())
    assert read_place("10.0.0.7", "Lab,2001:db8::2") == ("10.0.0.7", ("lab", "[2001:db8::2]"))
    assert read_place("::1", "lab", proxied=True) == ("::1", ("lab",))
    for host, names in ((EVERYWHERE, ""), ("127.0.0.1", "lab"), ("lab", "*")):
        with pytest.raises(AccessError) as raised:
            read_place(host, names)
        assert raised.value.problems == problems(host, names, GOOD)


@pytest.mark.parametrize(
    "name",
    ["*", "*.example", "lab:8080", "a b", "http://lab", "lab/", "-lab", "lab.", "jo@lab", "", "ü", "[lab]"],
)
def test_a_name_that_is_none_is_refused_and_quoted(name):
    (line,) = problems("10.0.0.7", f"lab,{name}", GOOD)
    assert line.startswith("--allowed-hosts: a host name or address without port")
    assert repr(name) in line


@pytest.mark.parametrize("host", ["lab.example", "", "10.0.0.256", "10.0.0.7:80", "*", "127.1"])
def test_a_host_that_is_no_address_is_refused(host):
    (line,) = problems(host, environment=GOOD)
    assert line.startswith("--host: an IP address of this machine, or localhost, is needed")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({PASSWORD: ""}, "12 printable characters is needed, but got 0"),
        ({PASSWORD: "elevenchars"}, "but got 11"),
        ({PASSWORD: "with a line\nbreak"}, "printable"),
        ({PASSWORD: "password1234"}, "the one MLflow published"),
        ({SECRET_KEY: ""}, "16 characters is needed, but got 0"),
        ({SECRET_KEY: "fifteen letters"}, "but got 15"),
    ],
)
@pytest.mark.parametrize("host", ["10.0.0.7", "127.0.0.1"])
def test_a_weak_secret_is_refused_on_loopback_too_and_never_quoted(host, changed, said):
    (line,) = problems(host, environment=GOOD | changed)
    assert said in line
    assert not any(value and value in line for value in changed.values())


def test_a_password_that_is_set_is_asked_for_on_loopback_too():
    assert read_access("127.0.0.1", "", GOOD).credentials == Credentials(GOOD[PASSWORD], GOOD[SECRET_KEY])


def test_all_problems_are_told_at_once():
    lines = problems(EVERYWHERE, "*,lab:80", {PASSWORD: "short"})
    assert len(lines) == 4


def test_no_secret_is_part_of_a_text():
    access = read_access("10.0.0.7", "", GOOD)
    assert not any(secret in f"{access} {access!r}" for secret in GOOD.values())
