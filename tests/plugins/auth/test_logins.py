"""Login accounts: what they need for NDMP, and the passwords that come of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit.errors import TapekitError
from tapekit_auth.logins import (
    Application,
    Login,
    LoginMethod,
    credential_of,
    derived_password,
    random_credential,
    require_login_password,
    require_user_name,
)


@pytest.mark.requirement("R179")
@pytest.mark.parametrize(
    ("applications", "method", "permits"),
    [
        ((Application.SSH,), LoginMethod.PASSWORD, True),
        ((Application.SSH,), LoginMethod.NSSWITCH, True),
        ((Application.CONSOLE, Application.SSH), LoginMethod.PASSWORD, True),
        ((Application.SSH,), LoginMethod.PUBLICKEY, False),
        ((Application.SSH,), LoginMethod.DOMAIN, False),
        ((Application.CONSOLE, Application.HTTP), LoginMethod.PASSWORD, False),
        ((), LoginMethod.PASSWORD, False),
    ],
)
def test_ndmp_asks_for_ssh_with_a_password(
    applications: tuple[Application, ...], method: LoginMethod, *, permits: bool
) -> None:
    assert Login(applications, method).permits_ndmp() is permits


@pytest.mark.requirement("R181")
def test_a_derived_password_is_known_to_all_versions() -> None:
    password = derived_password(b"c" * 64, b"s" * 16, "user1", ["vs1"])
    assert password == "DOT3q22XlwdEcKu4"


@pytest.mark.requirement("R181")
@given(st.binary(min_size=1), st.binary(), st.text(), st.lists(st.text(), max_size=3))
def test_a_derived_password_has_16_letters_and_digits(
    credential: bytes, salt: bytes, user: str, svms: list[str]
) -> None:
    password = derived_password(credential, salt, user, svms)
    assert len(password) == 16
    assert password.isascii()
    assert password.isalnum()
    assert password == derived_password(credential, salt, user, tuple(svms))


@pytest.mark.requirement("R181")
def test_whatever_it_is_made_of_makes_another_password() -> None:
    passwords = {
        derived_password(b"c" * 64, b"s" * 16, "user1", ["vs1"]),
        derived_password(b"d" * 64, b"s" * 16, "user1", ["vs1"]),
        derived_password(b"c" * 64, b"t" * 16, "user1", ["vs1"]),
        derived_password(b"c" * 64, b"s" * 16, "user2", ["vs1"]),
        derived_password(b"c" * 64, b"s" * 16, "user1", ["vs2"]),
        derived_password(b"c" * 64, b"s" * 16, "user1", ["vs1", "vs2"]),
    }
    assert len(passwords) == 6


def test_a_credential_is_not_the_password_and_another_one_each_time() -> None:
    first, second = credential_of("Correct0Horse"), credential_of("Correct0Horse")
    assert first != second
    assert b"Correct0Horse" not in first
    assert len(first) == len(random_credential()) == 64
    assert random_credential() != random_credential()


@pytest.mark.parametrize(
    "password", ["", "Sh0rt", "onlyletters", "1234567890", "netapp123", "user0001", "USER0001"]
)
def test_a_password_that_is_easily_guessed_is_refused(password: str) -> None:
    with pytest.raises(TapekitError) as refused:
        require_login_password("user0001", password)
    assert refused.value.id == "auth.weak-login-password"
    assert not password or password not in str(refused.value.advice).replace("user0001", "")


def test_a_good_password_passes() -> None:
    require_login_password("user1", "Correct0Horse")


@pytest.mark.requirement("R178")
def test_a_user_of_active_directory_cannot_have_an_account() -> None:
    with pytest.raises(TapekitError, match="does not support users of Active Directory"):
        require_user_name("EXAMPLE\\anna")


@pytest.mark.parametrize("name", ["", "an na", "anna\n", "a" * 65])
def test_a_name_is_one_word(name: str) -> None:
    with pytest.raises(TapekitError) as refused:
        require_user_name(name)
    assert refused.value.id == "auth.bad-user-name"
