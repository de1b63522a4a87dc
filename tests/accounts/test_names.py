"""The validation and comparison of names."""

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
    "changes the direction": "Eve\u202enimdA",
    "isolates a direction": "Eve \u2066nimdA",
    "ends the line": "Mallory\r\nApproved",
    "line separator": "Mallory\u2028Approved",
    "paragraph separator": "Mallory\u2029Approved",
    "a zero-width space": "Ma\u200bllory",
    "a soft hyphen": "Mal\u00adlory",
    "a byte order mark": "\ufeffMallory",
    "a joiner between Latin letters": "Mal\u200dlory",
    "a non-joiner at the beginning": "\u200cMallory",
    "a joiner between Arabic letters": "\u0639\u200d\u0644\u06cc",
    "private use": "Mallory \ue000",
    "unassigned": "Mallory \u0378",
    "lone surrogate": "Mallory \ud800",
    "a blank letter": "\u3164",
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
def test_a_name_with_unreadable_characters_is_rejected(db: Any, name: str) -> None:
    with pytest.raises(InvalidInput, match=r"can't contain U\+[0-9A-F]{4}"):
        User.objects.create_person("eve@example.org", name, PASSWORD, by=Machine("test"))
    assert not User.objects.exists()


@pytest.mark.parametrize("name", READABLE)
def test_readable_names_in_many_scripts_are_accepted_unchanged(name: str) -> None:
    names.validate(name)
    assert names.clean(name) == name


@pytest.mark.parametrize("name", [*UNREADABLE.values(), "ع\u200cل" * 50])
def test_a_cleaned_name_is_valid(name: str) -> None:
    cleaned = names.clean(name)
    assert len(cleaned) <= names.MAX_LENGTH
    names.validate(cleaned)


def test_cleaning_replaces_line_ends_with_spaces() -> None:
    assert names.clean("Mallory\r\nX \u202e") == "Mallory X"


def test_the_error_names_the_character() -> None:
    with pytest.raises(ValidationError, match=r"U\+202E \(right-to-left override\).*Remove it"):
        names.validate("Eve\u202enimdA")


def test_forms_show_which_character_is_not_allowed_in_a_name(
    client: Client, administrator: User, viewer: User
) -> None:
    sign_in(client, administrator)
    new = {"email": "eve@example.org", "name": "Eve\u202enimdA"}
    facts = {"name": "Eve\u202enimdA", "phone": "", "timezone": "UTC"}
    for page, form in {"/people/new/": new, f"/people/{viewer.pk}/": facts, "/account/": facts}.items():
        response = client.post(page, form)
        assert response.status_code == 422, page
        assert "can&#x27;t contain U+202E" in response.content.decode(), page
    assert set(User.objects.values_list("name", flat=True)) == {"Ada Minster", "Vi Ewing"}


@pytest.mark.parametrize(
    "name",
    ["Dana Baker", " dana  BAKER ", "Ｄana\u00a0Baker", "Dana Baker\ufe0f", "D\u0430na Baker"],
    ids=ascii,
)
def test_a_person_cannot_take_the_name_of_another_active_person(dba: User, viewer: User, name: str) -> None:
    with pytest.raises(
        InvalidInput, match=r"Someone already uses this name\. Add a middle name or an initial"
    ):
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
def test_look_alike_names_share_a_skeleton(name: str, other: str) -> None:
    assert names.skeletons(name) & names.skeletons(other)


@pytest.mark.parametrize(
    ("name", "other"),
    [("Jose", "Jos\u00e9"), ("Anna", "\u0410нна"), ("Dan", "Don"), ("Vi Ewing", "ViEwing"), ("李", "季")],
    ids=ascii,
)
def test_visibly_different_names_share_no_skeleton(name: str, other: str) -> None:
    assert not names.skeletons(name) & names.skeletons(other)


def test_an_administrator_cannot_give_a_person_a_name_that_is_taken(
    client: Client, administrator: User, dba: User, viewer: User
) -> None:
    sign_in(client, administrator)
    form = {"name": "Dana Baker", "phone": "", "timezone": "UTC"}
    response = client.post(f"/people/{viewer.pk}/", form)
    assert response.status_code == 422
    assert "Someone already uses this name" in response.content.decode()


def test_new_people_may_share_a_name_and_edit_the_rest_of_their_profile(dba: User) -> None:
    other = User.objects.create_person("dana2@example.org", "Dana Baker", PASSWORD, by=Machine("test"))
    other.edit(by=other, name="Dana Baker", phone="1")
    other.edit(by=other, name="Dana Q. Baker")
    other.refresh_from_db()
    assert (other.name, other.phone) == ("Dana Q. Baker", "1")


def test_names_of_disabled_people_and_own_spellings_are_available(
    administrator: User, dba: User, viewer: User
) -> None:
    dba.disable(by=administrator)
    viewer.edit(by=viewer, name="Dana Baker")
    viewer.edit(by=viewer, name="DANA Baker")
    assert User.objects.get(pk=viewer.pk).name == "DANA Baker"


# --- The name as a password ---------------------------------------------------------------------------


LONG = "Wilhelmina Vandersloot"


def test_a_persons_own_name_is_rejected_as_password(client: Client, db: Any) -> None:
    # The e-mail address doesn't resemble the name, because that would be rejected as well.
    wilhelmina: User = User.objects.create_person("w@example.org", LONG, PASSWORD, by=Machine("test"))
    sign_in(client, wilhelmina, second_factor=False)
    for password in (LONG, "WilhelminaVandersloot7"):
        form = {"oldpassword": PASSWORD, "password1": password, "password2": password}
        response = client.post("/account/password/change/", form)
        assert "too similar to the name" in response.content.decode()
    with pytest.raises(InvalidInput, match="too similar to the name"):
        User.objects.create_person("v@example.org", LONG, LONG, by=Machine("test"))
    wilhelmina.refresh_from_db()
    assert wilhelmina.check_password(PASSWORD)
