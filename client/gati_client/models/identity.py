"""What the extension identity says and wants to hear. Generated from its OpenAPI; do not edit:

python -m tests.client.generate
"""

from __future__ import annotations

import datetime
from typing import Any, Literal

from pydantic import Field

from gati_client.models.base import Model


class AccountView(Model):
    """An account. `email` is told to the account itself and to administrators."""

    name: str
    kind: str
    display: str
    url: str | None
    email: str | None
    admin: bool
    active: bool
    namespace: str
    created_at: str


class Audience(Model):
    """What to ask the issuer for."""

    audience: str


class Begun(Model):
    """A request that waits for a person (RFC 8628 section 3.2)."""

    device_code: str
    user_code: str
    verification_uri: str
    verification_uri_complete: str
    expires_in: int
    interval: int


class Bound(Model):
    """Some actions at or below a path."""

    actions: list[str]
    path: str


class Ceremony(Model):
    """A challenge. `options` is what the browser's `navigator.credentials` takes, as JSON."""

    state: str
    options: dict[str, Any]


class CertificateView(Model):
    """A mapping of certificates."""

    id: str
    account: str
    by: str
    value: str
    issuer: str
    scopes: list[str]
    path: str
    created_at: str


class Changes(Model):
    """What administrators may change of an account besides."""

    email: str | None = None
    display: str | None = None
    url: str | None = None
    admin: bool | None = None
    active: bool | None = None


class Code(Model):
    """A one-time password or, to log in or to do without, a recovery code."""

    code: str


class Confirmation(Model):
    """The first code of a new second factor; where there is a passkey already, also that."""

    code: str
    passkey: Proof | None = None


class Decided(Model):
    """A person's word on a device's request."""

    user_code: str
    decision: Literal["approve", "deny"]


class DeviceToken(Model):
    """An API key: for the device to keep, shown now and never again."""

    access_token: str
    token_type: str
    scope: str
    expires_in: int


class Enrolment(Model):
    """A second factor to be confirmed by its first code."""

    secret: str
    uri: str


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


class Factor(Model):
    """A second factor, to prove that it is still in one's hands: a code, or a passkey."""

    code: str | None = None
    passkey: Proof | None = None


class FirstFactor(Model):
    """Name and password, to be asked for the second factor."""

    name: str
    password: str


class Given(Model):
    """A token for a build (RFC 8693 section 2.2.1): good as a bearer token, or as a password with the user
    `gati`.
    """

    access_token: str
    issued_token_type: str
    token_type: str
    expires_in: int
    scope: str


class InvitationView(Model):
    """An invitation, without its secret."""

    id: str
    email: str | None
    created_at: str
    expires_at: str
    used_by: str | None


class Jwks(Model):
    """The keys that verify tokens (RFC 7517)."""

    keys: list[dict[str, str]]


class KeyView(Model):
    """An API key, without its secret."""

    id: str
    account: str
    name: str
    scopes: list[str]
    path: str
    created_at: str
    expires_at: str | None
    used_at: str | None


class LinkView(Model):
    """An identity elsewhere that an account logs in by."""

    id: str
    provider: str
    issuer: str
    subject: str
    label: str
    created_at: str
    used_at: str


class Location(Model):
    """Where the page has to send the browser."""

    location: str


class LoggedIn(Model):
    """A session; its secret is in the cookie."""

    account: AccountView
    csrf_token: str
    expires_at: str


class Login(Model):
    """Name and password. Where there is a second factor: `code` is a one-time password or a recovery code,
    `passkey` answers a challenge of `login/passkey`.
    """

    name: str
    password: str
    code: str | None = None
    passkey: Proof | None = None


class LoginView(Model):
    """A login of a client program, kept as a refresh token."""

    id: str
    client: str
    created_at: str
    used_at: str


class MadeInvitation(Model):
    """A new invitation. `invitation` is its secret: shown now and never again."""

    id: str
    email: str | None
    created_at: str
    expires_at: str
    used_by: str | None
    invitation: str


class MadeKey(Model):
    """A new API key. `key` is its secret: shown now and never again."""

    id: str
    account: str
    name: str
    scopes: list[str]
    path: str
    created_at: str
    expires_at: str | None
    used_at: str | None
    key: str


class MadePasskey(Model):
    """A new passkey, and recovery codes where there were none: shown now and never again."""

    id: str
    name: str
    created_at: str
    used_at: str | None
    cloned_at: str | None
    codes: list[str]


class Me(Model):
    """Who is asking, and with what."""

    account: AccountView
    method: str
    credential: str | None
    bounds: list[Bound] | None
    organizations: list[Member]
    teams: list[TeamOf]
    second_factor: bool
    csrf_token: str | None


class Member(Model):
    """An organization and one's role in it."""

    org: str
    role: str


class MemberView(Model):
    """A member of an organization."""

    name: str
    kind: str
    role: str
    since: str


class NewCertificate(Model):
    """A certificate, or the kind of certificate, that is to be a robot's."""

    account: str
    certificate: str
    by: Literal["fingerprint", "uri", "dns", "subject"] = "fingerprint"
    scopes: list[str]
    path: str = ""


class NewInvitation(Model):
    """An invitation to be made, good once."""

    email: str | None = None


class NewKey(Model):
    """An API key to be made."""

    name: str
    scopes: list[str]
    path: str = ""
    expires_at: datetime.datetime | None = None
    account: str = ""


class NewOrg(Model):
    """An organization to be made; whoever makes it owns it."""

    name: str
    display: str = ""
    email: str | None = None
    url: str | None = None


class NewPasskey(Model):
    """What `navigator.credentials.create()` answered; where there is a second factor already, also that."""

    code: str | None = None
    passkey: Proof | None = None
    name: str
    state: str
    credential: dict[str, Any]


class NewPublisher(Model):
    """A trusted publisher to be registered."""

    repository: str
    issuer: str
    claims: dict[str, str]
    actions: list[Literal["pull", "push", "delete"]] = Field(default_factory=list)
    name: str = ""


class NewRobot(Model):
    """A robot to be made; it will be called `owner+name`."""

    owner: str
    name: str
    display: str = ""


class NewTeam(Model):
    """A team to be made."""

    name: str
    description: str = ""


class NewUser(Model):
    """A user to be made. Whoever is no administrator needs a registry with sign-up, or an invitation."""

    name: str
    password: str
    email: str | None = None
    display: str = ""
    url: str | None = None
    invitation: str | None = None
    admin: bool = False


class PasskeyView(Model):
    """A passkey."""

    id: str
    name: str
    created_at: str
    used_at: str | None
    cloned_at: str | None


class Passkeys(Model):
    """All of an account's."""

    items: list[PasskeyView]


class PasswordChange(Model):
    """The present password and the new one; administrators need no present one for others."""

    current: str | None = None
    new: str
    code: str | None = None
    passkey: Proof | None = None


class Profile(Model):
    """What an account says of itself; what is left out stays."""

    email: str | None = None
    display: str | None = None
    url: str | None = None


class Proof(Model):
    """What a browser's `navigator.credentials.get()` answered to a challenge, as JSON (`toJSON()`)."""

    state: str
    credential: dict[str, Any]


class ProviderView(Model):
    """A provider that users log in by."""

    id: str
    kind: str
    title: str
    login: str


class PublisherView(Model):
    """A trusted publisher. Its builds act in the name of `account`."""

    id: str
    account: str
    repository: str
    name: str
    issuer: str
    claims: dict[str, str]
    actions: list[str]
    created_at: str
    used_at: str | None


class RecoveryCodes(Model):
    """Each is good once, in place of a one-time password; shown now and never again."""

    codes: list[str]


class RevokedView(Model):
    """A certificate that proves nothing any more."""

    fingerprint: str
    revoked_at: str


class Role(Model):
    """A member's role."""

    role: Literal["owner", "member"] = "member"


class SessionView(Model):
    """A browser's session."""

    id: str
    address: str
    user_agent: str
    created_at: str
    seen_at: str
    current: bool


class TeamMemberView(Model):
    """A member of a team."""

    name: str
    since: str


class TeamOf(Model):
    """A team one belongs to."""

    org: str
    team: str


class TeamView(Model):
    """A team."""

    org: str
    name: str
    description: str
    created_at: str
