"""What the routes take and answer."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, Field

from gati_extensions.identity.grants import checked_path, scope_word
from gati_extensions.identity.names import Name, NewName
from gati_extensions.identity.passkeys.model import PasskeyView, Proof
from gati_extensions.identity.passwords import LONGEST, SHORTEST
from gati_registry.extension import Model, Page, Paging


def _email(text: str) -> str:
    if not re.fullmatch(r"[^@\s<>\"]+@[^@\s<>\"]+", text):
        raise ValueError("must be an address such as alice@example.org")
    return text


def _url(text: str) -> str:
    if not re.fullmatch(r"https?://[^\s<>\"]+", text):
        raise ValueError("must begin with https:// or http://")
    return text


Password = Annotated[str, Field(min_length=SHORTEST, max_length=LONGEST)]
Text = Annotated[str, Field(max_length=200)]
Email = Annotated[str, Field(max_length=254), AfterValidator(_email)]
Url = Annotated[str, Field(max_length=500), AfterValidator(_url)]
Scope = Annotated[str, Field(max_length=32), AfterValidator(scope_word)]
Path = Annotated[str, Field(max_length=255), AfterValidator(checked_path)]


def time_of(milliseconds: int) -> str:
    """RFC 3339, UTC."""
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def optional_time_of(milliseconds: int | None) -> str | None:
    """RFC 3339, UTC."""
    return None if milliseconds is None else time_of(milliseconds)


# --- accounts ---------------------------------------------------------------------------------------------------


class NewUser(Model):
    """A user to be made. Whoever is no administrator needs a registry with sign-up, or an invitation."""

    name: NewName
    password: Password
    email: Email | None = None
    display: Text = ""
    url: Url | None = None
    invitation: Annotated[str, Field(max_length=100)] | None = None
    admin: bool = Field(False, description="An administrator of the server; only administrators may say so.")


class Profile(Model):
    """What an account says of itself; what is left out stays."""

    email: Email | None = None
    display: Text | None = None
    url: Url | None = None


class Changes(Profile):
    """What administrators may change of an account besides."""

    admin: bool | None = None
    active: bool | None = None


class AccountView(Model):
    """An account. `email` is told to the account itself and to administrators."""

    name: str
    kind: Literal["user", "org", "robot"]
    display: str
    url: str | None
    email: str | None
    admin: bool
    active: bool
    namespace: str
    created_at: str


class PasswordChange(Model):
    """The present password and the new one; administrators need no present one for others."""

    current: Annotated[str, Field(max_length=LONGEST)] | None = None
    new: Password
    code: Annotated[str, Field(max_length=40)] | None = Field(None, description="Where there is a second factor.")
    passkey: Proof | None = Field(None, description="The same, by a challenge of `passkeys/proof`.")


class Me(Model):
    """Who is asking, and with what."""

    account: AccountView
    method: str
    credential: str | None
    bounds: list[Bound] | None = Field(description="What the credential may at most be used for; null: no bounds.")
    organizations: list[Member]
    teams: list[TeamOf]
    second_factor: bool
    csrf_token: str | None = Field(description="For X-CSRF-Token, in a browser's session.")


class Bound(Model):
    """Some actions at or below a path."""

    actions: list[str]
    path: str


class Member(Model):
    """An organization and one's role in it."""

    org: str
    role: str


class TeamOf(Model):
    """A team one belongs to."""

    org: str
    team: str


class Export(Model):
    """All that is kept of an account."""

    account: AccountView
    organizations: list[Member]
    teams: list[TeamOf]
    keys: list[KeyView]
    sessions: list[SessionView]
    logins: list[LoginView]
    links: list[LinkView]
    passkeys: list[PasskeyView]
    second_factor: bool


# --- organizations ----------------------------------------------------------------------------------------------


class NewOrg(Model):
    """An organization to be made; whoever makes it owns it."""

    name: NewName
    display: Text = ""
    email: Email | None = None
    url: Url | None = None


class Role(Model):
    """A member's role."""

    role: Literal["owner", "member"] = "member"


class MemberView(Model):
    """A member of an organization."""

    name: str
    kind: str
    role: str
    since: str


class NewTeam(Model):
    """A team to be made."""

    name: Name
    description: Text = ""


class TeamView(Model):
    """A team."""

    org: str
    name: str
    description: str
    created_at: str


class TeamMemberView(Model):
    """A member of a team."""

    name: str
    since: str


class NewRobot(Model):
    """A robot to be made; it will be called `owner+name`."""

    owner: Name
    name: Name
    display: Text = ""


class RobotQuery(Paging):
    """Whose robots."""

    owner: Annotated[str, Field(max_length=100)] = Field("", description="A user or organization; empty: oneself.")


# --- credentials ------------------------------------------------------------------------------------------------


class NewKey(Model):
    """An API key to be made."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=10)] = Field(
        description="read, publish, delete, admin, operate; registry:read and the like are taken too."
    )
    path: Path = Field("", description="A namespace or repository that it is bound to; empty: everywhere.")
    expires_at: AwareDatetime | None = Field(None, description="When it ends; null: never.")
    account: Annotated[str, Field(max_length=100)] = Field("", description="One of your robots; empty: yourself.")


class KeyView(Model):
    """An API key, without its secret."""

    id: str
    account: str
    name: str
    scopes: list[str]
    path: str
    created_at: str
    expires_at: str | None
    used_at: str | None = Field(description="To the minute.")


class MadeKey(KeyView):
    """A new API key. `key` is its secret: shown now and never again."""

    key: str


class KeyQuery(Paging):
    """Whose keys."""

    account: Annotated[str, Field(max_length=100)] = Field("", description="One of your robots; empty: yourself.")


class Login(Model):
    """Name and password. Where there is a second factor: `code` is a one-time password or a recovery code, `passkey`
    answers a challenge of `login/passkey`."""

    name: Annotated[str, Field(max_length=200)]
    password: Annotated[str, Field(max_length=LONGEST)]
    code: Annotated[str, Field(max_length=40)] | None = None
    passkey: Proof | None = None


class LoggedIn(Model):
    """A session; its secret is in the cookie."""

    account: AccountView
    csrf_token: str
    expires_at: str


class SessionView(Model):
    """A browser's session."""

    id: str
    address: str
    user_agent: str
    created_at: str
    seen_at: str
    current: bool


class LoginView(Model):
    """A login of a client program, kept as a refresh token."""

    id: str
    client: str
    created_at: str
    used_at: str


class LinkView(Model):
    """An identity elsewhere that an account logs in by."""

    id: str
    provider: str
    issuer: str
    subject: str
    label: str
    created_at: str
    used_at: str


class NewInvitation(Model):
    """An invitation to be made, good once."""

    email: Email | None = None


class InvitationView(Model):
    """An invitation, without its secret."""

    id: str
    email: str | None
    created_at: str
    expires_at: str
    used_by: str | None


class MadeInvitation(InvitationView):
    """A new invitation. `invitation` is its secret: shown now and never again."""

    invitation: str


class Enrolment(Model):
    """A second factor to be confirmed by its first code."""

    secret: str
    uri: str = Field(description="For an authenticator's QR code.")


class Code(Model):
    """A one-time password or, to log in or to do without, a recovery code."""

    code: Annotated[str, Field(max_length=40)]


class Confirmation(Code):
    """The first code of a new second factor; where there is a passkey already, also that."""

    passkey: Proof | None = Field(None, description="By a challenge of `passkeys/proof`.")


class RecoveryCodes(Model):
    """Each is good once, in place of a one-time password; shown now and never again."""

    codes: list[str]


class Jwks(Model):
    """The keys that verify tokens (RFC 7517)."""

    keys: list[dict[str, str]]


for _model in (Me, Export):
    _model.model_rebuild()

Accounts = Page[AccountView]
Members = Page[MemberView]
Teams = Page[TeamView]
TeamMembers = Page[TeamMemberView]
Keys = Page[KeyView]
SessionsPage = Page[SessionView]
Logins = Page[LoginView]
Invitations = Page[InvitationView]
