"""What a person may be called, by every way in."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.test import Client

from deployctl.accounts import names
from deployctl.accounts.models import User
from deployctl.accounts.testing import sign_in
from deployctl.audit import Machine
from deployctl.audit.models import Entry
from deployctl.errors import InvalidInput
from tests.people import PASSWORD

UNREADABLE = {
    "turns the direction": "Eve\u202enimdA",
    "isolates a direction": "Eve \u2066nimdA",
    "ends the line": "Mallory\r\nApproved",
    "ends the line in another way": "Mallory\u2028Approved",
    "begins a paragraph": "Mallory\u2029Approved",
    "a zero-width space": "Ma\u200bllory",
    "a soft hyphen": "Mal\u00adlory",
    "a byte order mark": "\ufeffMallory",
    "a joiner between Latin letters": "Mal\u200dlory",
    "a non-joiner at the beginning": "\u200cMallory",
    "a joiner between Arabic letters": "\u0639\u200d\u0644\u06cc",
    "private use": "Mallory \ue000",
    "not assigned": "Mallory \u0378",
    "half of a pair": "Mallory \ud800",
    "a letter that is blank": "\u3164",
}
READABLE = [
    "Dana Baker",
    "Zoë O’Brien-Łukasz, Jr.",
    "李\U000e0100小龍",
    "Ἀλέξανδρος",
    "عبد الله",
    # Persian: a non-joiner between letters; Devanagari: a joiner and a non-joiner after a virama.
    "علی\u200cرضا",
    "क्\u200dष",
    "क्\u200cष",
]


@pytest.mark.parametrize("name", UNREADABLE.values(), ids=UNREADABLE)
def test_a_name_that_does_not_read_as_what_it_is_is_refused(db: Any, name: str) -> None:
    with pytest.raises(InvalidInput, match=r"cannot hold U\+[0-9A-F]{4}"):
        User.objects.create_person("eve@example.org", name, PASSWORD, by=Machine("test"))
    assert not User.objects.exists()


@pytest.mark.parametrize("name", READABLE)
def test_names_of_the_world_are_taken_and_left_as_they_are(name: str) -> None:
    names.validate(name)
    assert names.clean(name) == name


@pytest.mark.parametrize("name", [*UNREADABLE.values(), "ع\u200cل" * 50])
def test_what_is_left_of_a_cleaned_name_is_taken(name: str) -> None:
    cleaned = names.clean(name)
    assert len(cleaned) <= names.MAX_LENGTH
    names.validate(cleaned)


def test_a_cleaned_line_end_leaves_a_space() -> None:
    assert names.clean("Mallory\r\nX \u202e") == "Mallory X"


def test_the_refusal_names_the_character_and_says_what_to_do() -> None:
    with pytest.raises(
        ValidationError, match=r"U\+202E \(right-to-left override\).*Type the name without it"
    ):
        names.validate("Eve\u202enimdA")


def test_pages_say_what_a_name_cannot_hold(client: Client, administrator: User, viewer: User) -> None:
    sign_in(client, administrator)
    new = {"email": "eve@example.org", "name": "Eve\u202enimdA"}
    facts = {"name": "Eve\u202enimdA", "phone": "", "timezone": "UTC"}
    for page, form in {"/people/new/": new, f"/people/{viewer.pk}/": facts, "/account/": facts}.items():
        answer = client.post(page, form)
        assert answer.status_code == 422, page
        assert "cannot hold U+202E" in answer.content.decode(), page
    assert set(User.objects.values_list("name", flat=True)) == {"Ada Minster", "Vi Ewing"}


@pytest.mark.parametrize(
    "name",
    ["Dana Baker", " dana  BAKER ", "Ｄana\u00a0Baker", "Dana Baker\ufe0f", "D\u0430na Baker"],
    ids=ascii,
)
def test_nobody_is_renamed_to_what_another_person_is_called(dba: User, viewer: User, name: str) -> None:
    with pytest.raises(InvalidInput, match="Another person here is called so; add what tells you apart"):
        viewer.edit(by=viewer, name=name, phone="1")
    assert (viewer.name, viewer.phone) == ("Vi Ewing", "")
    assert not Entry.objects.filter(action="person.edited").exists()


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("D\u0430na B\u0430ker", "Dana Baker"),  # Cyrillic a
        ("D\u0391NA BAKER", "Dana Baker"),  # Greek capital alpha
        ("\u0397ANNA", "Hanna"),  # Greek capital eta
        ("\u0397\u03bb\u03ad\u03bd\u03b7", "\u0397\u039b\u0388\u039d\u0397"),  # Greek, in both cases
        ("Dan\u0456el", "DANIEL"),  # Cyrillic i
        ("DAN\u0406EL", "Daniel"),
        ("Danie1", "Daniel"),
        ("\u0413ая", "\u0393ая"),  # Cyrillic and Greek gamma
        ("D\u00f6ra", "Do\u0308ra"),
        ("O\u2019Brien", "O'Brien"),
        ("\u018fli", "\u04d8li"),  # Latin and Cyrillic schwa, which resemble only each other
    ],
    ids=ascii,
)
def test_names_in_look_alike_letters_share_a_skeleton(name: str, other: str) -> None:
    assert names.skeletons(name) & names.skeletons(other)


@pytest.mark.parametrize(
    ("name", "other"),
    [("Jose", "Jos\u00e9"), ("Anna", "\u0410нна"), ("Dan", "Don"), ("Vi Ewing", "ViEwing"), ("李", "季")],
    ids=ascii,
)
def test_names_that_differ_to_the_eye_share_no_skeleton(name: str, other: str) -> None:
    assert not names.skeletons(name) & names.skeletons(other)


def test_an_administrator_renames_nobody_to_what_another_is_called(
    client: Client, administrator: User, dba: User, viewer: User
) -> None:
    sign_in(client, administrator)
    form = {"name": "Dana Baker", "phone": "", "timezone": "UTC"}
    answer = client.post(f"/people/{viewer.pk}/", form)
    assert answer.status_code == 422
    assert "Another person here is called so" in answer.content.decode()


def test_two_who_are_called_the_same_may_be_added_and_change_everything_else(dba: User) -> None:
    other = User.objects.create_person("dana2@example.org", "Dana Baker", PASSWORD, by=Machine("test"))
    other.edit(by=other, name="Dana Baker", phone="1")
    other.edit(by=other, name="Dana Q. Baker")
    other.refresh_from_db()
    assert (other.name, other.phone) == ("Dana Q. Baker", "1")


def test_the_name_of_somebody_who_is_disabled_and_another_spelling_of_ones_own_are_free(
    administrator: User, dba: User, viewer: User
) -> None:
    dba.disable(by=administrator)
    viewer.edit(by=viewer, name="Dana Baker")
    viewer.edit(by=viewer, name="DANA Baker")
    assert User.objects.get(pk=viewer.pk).name == "DANA Baker"


# --- The name as a password ---------------------------------------------------------------------------


LONG = "Wilhelmina Vandersloot"


def test_a_persons_own_name_is_no_password_wherever_one_is_chosen(client: Client, db: Any) -> None:
    # The address is nothing like the name, or it would be refused for that.
    wilhelmina: User = User.objects.create_person("w@example.org", LONG, PASSWORD, by=Machine("test"))
    sign_in(client, wilhelmina, second_factor=False)
    for password in (LONG, "WilhelminaVandersloot7"):
        form = {"oldpassword": PASSWORD, "password1": password, "password2": password}
        answer = client.post("/account/password/change/", form)
        assert "too similar to the name" in answer.content.decode()
    with pytest.raises(InvalidInput, match="too similar to the name"):
        User.objects.create_person("v@example.org", LONG, LONG, by=Machine("test"))
    wilhelmina.refresh_from_db()
    assert wilhelmina.check_password(PASSWORD)
