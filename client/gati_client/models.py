"""What the extensions of the registry say and want to hear. Generated from its OpenAPI; do not edit:

python -m tests.client.generate
"""

from __future__ import annotations

import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Model(BaseModel):
    """Base of all. Fields that a newer server adds are let be."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True, defer_build=True)


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


class AdvisoryDecision(Model):
    """What becomes of a submitted advisory."""

    accept: bool


class AdvisoryItem(Model):
    """An advisory about an artifact."""

    repository: str
    id: str
    state: str
    severity: str
    author: str | None
    changed_at: datetime.datetime
    record: dict[str, Any]


class Artifact(Model):
    """A repository as an artifact with versions. `version` is the newest that is published."""

    repository: str
    kind: str
    latest: str
    stars: int
    ratings: int
    rating: float | None
    similar_names: list[str]
    channels: dict[str, str]
    created_at: datetime.datetime
    updated_at: datetime.datetime
    version: VersionDetail


class ArtifactItem(Model):
    """An artifact in a list."""

    repository: str
    kind: str
    latest: str
    digest: str
    title: str
    description: str
    stars: int
    rating: float | None
    updated_at: datetime.datetime


class Audience(Model):
    """What to ask the issuer for."""

    audience: str


class Badge(Model):
    """A proof of who publishes here."""

    method: str
    subject: str
    verified_at: datetime.datetime


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


class CapItem(Model):
    """Some actions at and below a path, under conditions."""

    actions: list[Literal["pull", "push", "delete", "maintain", "publish", "administer"]]
    path: str
    conditions: list[Condition] = Field(default_factory=list)


class CapabilityChange(Model):
    """A capability to issue. `expires_in` and `not_before_in` are seconds from now."""

    cap: list[CapItem]
    expires_in: int = 3600
    not_before_in: int = 0
    delegable: bool = False
    max_delegation_depth: int = 0
    note: str = ""


class CapabilityItem(Model):
    """A capability that was issued."""

    jti: str
    note: str
    cap: list[CapItem]
    issued_at: datetime.datetime
    expires_at: datetime.datetime
    revoked: bool


class CapabilityToken(Model):
    """A capability; the token is shown this once."""

    token: str
    jti: str
    expires_at: datetime.datetime
    delegations_left: int


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


class ChannelChange(Model):
    """The version, tag or digest that the channel shall name. With `expected` only where it names that digest
    now.
    """

    to: str
    expected: str | None = None


class CheckpointAnswer(Model):
    """The newest checkpoint. `note` is the signed note (C2SP tlog-checkpoint), which is also the text/plain
    answer.
    """

    origin: str
    size: int
    root: str
    time: str
    note: str


class Code(Model):
    """A one-time password or, to log in or to do without, a recovery code."""

    code: str


class Condition(Model):
    """One condition. time `key` empty: the instant, compared with RFC 3339 texts; `hour` (0-23) and `weekday`
    (1-7), UTC ip the client's address, compared with addresses and networks user-agent the client's program
    resource-state `key` is visibility, repository, namespace or action custom `key` is the name of a request
    header
    """

    kind: Literal["time", "ip", "user-agent", "resource-state", "custom"]
    key: str = ""
    op: Literal["eq", "neq", "gt", "lt", "in", "contains"]
    value: int | str | list[str]


class Confirmation(Model):
    """The first code of a new second factor; where there is a passkey already, also that."""

    code: str
    passkey: Proof | None = None


class ConflictItem(Model):
    """Why there is no answer. `choices` are given by the strategy `manual`; `missing`: there is no such
    artifact here that the caller may pull.
    """

    name: str
    lines: list[str]
    choices: list[str]
    missing: bool = False


class Conflicts(Model):
    """Of the newest versions in a namespace: `items` cannot be had at all, `together` tells why the others
    clash.
    """

    items: list[NamespaceConflict]
    together: list[list[str]]
    looked_at: int
    next: str | None = None


class ConsistencyProof(Model):
    """Shows that one tree is the beginning of another (RFC 9162, section 2.1.4); hashes are in base64."""

    first: int
    second: int
    hashes: list[str]
    first_root: str
    second_root: str


class Decided(Model):
    """A person's word on a device's request."""

    user_code: str
    decision: Literal["approve", "deny"]


class Delegation(Model):
    """A narrower capability to make of one that can be delegated."""

    cap: list[CapItem]
    expires_in: int = 3600
    not_before_in: int = 0
    delegable: bool = False
    max_delegation_depth: int = 0
    note: str = ""
    token: str


class DependentItem(Model):
    """Somebody who wants an artifact."""

    repository: str
    digest: str
    type: str
    constraint: str
    optional: bool


class Deprecation(Model):
    """What to use instead, and until when it stays."""

    reason: str = ""
    replacement: str = ""
    removed_at: datetime.datetime | None = None
    alternate_versions: list[str] = Field(default_factory=list)


class DeviceToken(Model):
    """An API key: for the device to keep, shown now and never again."""

    access_token: str
    token_type: str
    scope: str
    expires_in: int


class DownloadItem(Model):
    """How often a version was downloaded on a day: each client once an hour."""

    day: str
    version: str
    count: int


class DownloadsPage(Model):
    """Downloads by day and version, in that order; `total` is of all days and versions."""

    items: list[DownloadItem]
    next: str | None
    total: int


class Draft(Model):
    """A manifest that members alone see."""

    digest: str
    author: str
    pushed_at: datetime.datetime


class Endpoint(Model):
    """Where something answers, and how to ask whether it is well."""

    url: str
    name: str = ""
    authentication: str = ""
    health: str = ""
    status: Literal["unknown", "up", "degraded", "down"] = "unknown"


class Enrolment(Model):
    """A second factor to be confirmed by its first code."""

    secret: str
    uri: str


class Entry(Model):
    """Something that happened. A person who was erased is shown by pseudonym, and what was sealed for them is
    gone.
    """

    id: str
    event_id: str
    time: str
    category: str
    action: str
    actor: str | None
    credential: str | None
    method: str
    ip: str | None
    user_agent: str | None
    path: str | None
    resource: str
    namespace: str
    subject: str | None
    changes: list[dict[str, Any]] | None
    detail: dict[str, Any] | None
    request_id: str
    decision: str
    status: int
    duration_ms: float


class EnvironmentChange(Model):
    """Where it is to run; what is left out may be anything."""

    os: str | None = None
    arch: str | None = None
    env: str | None = None
    scope: str | None = None
    features: list[str] = Field(default_factory=list)


class Erased(Model):
    """Pseudonyms whose persons are forgotten now."""

    pseudonyms: list[str]


class Errors(Model):
    """Errors."""

    errors: list[dict[str, Any]]


class Explain(Model):
    """A question: may I (or, for administrators, may `account`) do `action` on `repository`?"""

    action: Literal[
        "pull", "push", "delete", "catalog", "maintain", "publish", "administer", "operate", "ping", "sign-in"
    ]
    repository: str | None = None
    account: str | None = None


class Explanation(Model):
    """The decision and how it came about."""

    decision: str
    account: str | None
    action: str
    repository: str | None
    steps: list[StepItem]


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


class FacetValue(Model):
    """How many of the counted hits have a value."""

    value: str
    count: int


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


class Graph(Model):
    """Releases and what they want of each other."""

    nodes: list[str]
    edges: list[tuple[str, str]]


class Highlight(Model):
    """A text of an item with the places that fit the query: [start, end) by characters of `text`, which is
    plain.
    """

    field: str
    text: str
    ranges: list[tuple[int, int]]


class HistoryItem(Model):
    """An earlier overlay."""

    revision: int
    overlay: dict[str, Any]
    actor: str | None
    changed_at: datetime.datetime


class InclusionProof(Model):
    """Leads from a leaf to the root of the tree (RFC 9162, section 2.1.3); hashes are in base64, lowest
    first.
    """

    entry: str
    index: int
    size: int
    leaf: str | None
    leaf_hash: str
    hashes: list[str]
    root: str


class IndexedField(Model):
    """A field that can be searched for. `path` is a JSON pointer."""

    path: str
    index: Literal["value", "fulltext"] = "value"
    unique: bool = False


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


class KeyAnswer(Model):
    """A public key; `verifier` is its text form for other programs (C2SP signed-note)."""

    name: str
    verifier: str
    algorithm: str = "ed25519"
    public: str


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


class KeysAnswer(Model):
    """All keys of the log, newest first."""

    items: list[KeyAnswer]
    next: None = None


class KindItem(Model):
    """A kind of artifact; `manifest` is the JSON Schema of its config."""

    name: str
    summary: str
    artifact_types: list[str]
    config_types: list[str]
    layer_types: list[str]
    aliases: list[str]
    manifest: dict[str, Any] | None


class KindList(Model):
    """All kinds."""

    items: list[KindItem]


class Link(Model):
    """A link to follow."""

    title: str
    url: str


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


class Lock(Model):
    """`gati.lock`. Packages by `name@version`."""

    version: Literal[1] = 1
    root: dict[str, Any] = Field(default_factory=dict)
    packages: dict[str, LockedPackage] = Field(default_factory=dict)


class LockedPackage(Model):
    """A package of a lock. `dependencies` are versions by name."""

    registry: str = ""
    kind: str = ""
    digest: str
    integrity: str = ""
    dependencies: dict[str, str] = Field(default_factory=dict)
    approved_at: str | None = None


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


class Measure(Model):
    """How much of a limit is used; a limit of null is none."""

    used: int
    limit: int | None


class Member(Model):
    """An organization and one's role in it."""

    org: str
    role: str


class MemberChange(Model):
    """The role to give: admin, publisher, maintainer, contributor, reader, or a custom one."""

    role: str


class MemberItem(Model):
    """Somebody's role at a namespace. A team's name is `org/team`."""

    path: str
    kind: str
    name: str
    role: str
    added_at: datetime.datetime


class MemberView(Model):
    """A member of an organization."""

    name: str
    kind: str
    role: str
    since: str


class MethodHit(Model):
    """A method; the name "" is the artifact as a whole. `match`: exact, equal but for brands, or it fits."""

    repository: str
    kind: str
    version: str
    digest: str
    method: str
    match: str
    takes: dict[str, Any] | None
    gives: dict[str, Any] | None


class MethodItem(Model):
    """What a method takes and gives, as hashes among `definitions`; null where that is not told."""

    takes: str | None
    gives: str | None


class MoveItem(Model):
    """A move of a tag: `before` and `after` are digests, null where there was, or is, none."""

    tag: str
    number: int
    before: str | None
    after: str | None
    actor: str | None
    moved_at: datetime.datetime


class Namespace(Model):
    """A namespace, or a repository seen as one. `visibility_from` is the path that it comes from."""

    path: str
    owner: str | None
    visibility: str
    visibility_from: str
    description: str
    labels: dict[str, str]
    verified: list[Badge]
    renamed_to: str | None = None


class NamespaceChange(Model):
    """What is set at a path. Left out is inherited, or empty."""

    visibility: Literal["public", "internal", "private"] | None = None
    description: str = ""
    labels: dict[str, str] = Field(default_factory=dict)


class NamespaceConflict(Model):
    """An artifact whose newest version cannot be had, and why."""

    name: str
    version: str
    lines: list[str]


class NamespaceItem(Model):
    """A namespace in a list."""

    path: str
    visibility: str | None
    description: str


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


class Osv(Model):
    """An OSV record."""

    id: str
    schema_version: str = "1.6.0"
    modified: datetime.datetime | None = None
    published: datetime.datetime | None = None
    withdrawn: datetime.datetime | None = None
    aliases: list[str] = Field(default_factory=list)
    related: list[str] = Field(default_factory=list)
    summary: str = ""
    details: str = ""
    severity: list[dict[str, Any]] = Field(default_factory=list)
    affected: list[OsvAffected]
    references: list[dict[str, Any]] = Field(default_factory=list)
    credits: list[dict[str, Any]] = Field(default_factory=list)
    database_specific: dict[str, Any] | None = None


class OsvAffected(Model):
    """Which versions are."""

    package: OsvPackage | None = None
    severity: list[dict[str, Any]] | None = None
    ranges: list[OsvRange] = Field(default_factory=list)
    versions: list[str] = Field(default_factory=list)
    ecosystem_specific: dict[str, Any] | None = None
    database_specific: dict[str, Any] | None = None


class OsvEvent(Model):
    """Where something begins or ends."""

    introduced: str | None = None
    fixed: str | None = None
    last_affected: str | None = None
    limit: str | None = None


class OsvPackage(Model):
    """What is affected."""

    ecosystem: str
    name: str
    purl: str | None = None


class OsvRange(Model):
    """A range of versions."""

    type: Literal["SEMVER", "ECOSYSTEM", "GIT"]
    repo: str | None = None
    events: list[OsvEvent]
    database_specific: dict[str, Any] | None = None


class Overlay(Model):
    """What can be changed after a push, without a new digest. In a PATCH, what is left out stays; null
    removes.
    """

    description: str | None = None
    readme: str | None = None
    labels: dict[str, str] | None = None
    keywords: list[str] | None = None
    links: list[Link] | None = None
    contact: str | None = None
    endpoints: list[Endpoint] | None = None
    metadata: dict[str, Any] | None = None
    successor: str | None = None


class Package(Model):
    """A release that was chosen. `wanted_by` are `name@version`, or empty for the request."""

    name: str
    version: str
    digest: str
    kind: str
    state: str
    gati: str
    dependencies: dict[str, str]
    wanted_by: list[str]


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


class PolicyChange(Model):
    """A policy for the extension that understands its name."""

    enforcement: Literal["off", "audit", "warn", "enforce"] = "enforce"
    body: dict[str, Any] = Field(default_factory=dict)


class PolicyItem(Model):
    """A policy and the path that it comes from."""

    enforcement: str = "enforce"
    body: dict[str, Any] = Field(default_factory=dict)
    name: str
    path: str


class PolicyList(Model):
    """All policies that hold at a path."""

    items: list[PolicyItem]


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


class Published(Model):
    """Drafts that are public now, an index's manifests with it."""

    digests: list[str]


class Publisher(Model):
    """Who publishes; `verified`: has proved to be who the name says."""

    name: str
    verified: bool


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


class Quota(Model):
    """Limits and use. Bandwidth (bytes) and calls are of the calendar month (UTC), and of owned namespaces."""

    path: str
    bytes: Measure
    artifacts: Measure
    bandwidth: Measure | None = None
    calls: Measure | None = None
    month: str


class QuotaChange(Model):
    """Limits of a namespace; left out: the default, -1: none. Bytes and repositories count at and below it."""

    bytes: int | None = None
    artifacts: int | None = None
    bandwidth: int | None = None
    calls: int | None = None


class RatingChange(Model):
    """One to five stars, and why."""

    stars: int
    review: str = ""


class RatingItem(Model):
    """A rating."""

    stars: int
    review: str = ""
    author: str
    rated_at: datetime.datetime


class Reason(Model):
    """Why."""

    reason: str = ""


class RecoveryCodes(Model):
    """Each is good once, in place of a one-time password; shown now and never again."""

    codes: list[str]


class Resolution(Model):
    """The whole graph and its lock; or conflicts, and then nothing else."""

    packages: list[Package]
    lock: Lock | None
    conflicts: list[ConflictItem]
    warnings: list[str]


class ResolveRequest(Model):
    """What is asked for: ranges by name. `dev` ones are resolved too; `overrides` hold wherever the name is
    wanted.
    """

    requests: dict[str, str]
    dev: dict[str, str] = Field(default_factory=dict)
    overrides: dict[str, str] = Field(default_factory=dict)
    strategy: Literal["highest", "lowest", "newest", "most-downloaded", "locked-first", "manual"] = "highest"
    environment: EnvironmentChange | None = None
    lock: Lock | None = None
    advisories: Literal["off", "warn", "refuse"] = "warn"


class Revocation(Model):
    """A capability to end, by who holds it; the one it was delegated from stays."""

    token: str


class RevokedView(Model):
    """A certificate that proves nothing any more."""

    fingerprint: str
    revoked_at: str


class Role(Model):
    """A member's role."""

    role: Literal["owner", "member"] = "member"


class RoleChange(Model):
    """A custom role."""

    inherits: list[str] = Field(default_factory=list)
    permissions: list[RolePermission] = Field(default_factory=list)


class RoleItem(Model):
    """A custom role and where it was made."""

    inherits: list[str] = Field(default_factory=list)
    permissions: list[RolePermission] = Field(default_factory=list)
    path: str
    name: str


class RoleList(Model):
    """All custom roles usable at a path."""

    items: list[RoleItem]


class RolePermission(Model):
    """What a custom role adds to the roles that it inherits from, or takes away."""

    effect: Literal["allow", "deny"] = "allow"
    actions: list[Literal["pull", "draft", "push", "maintain", "publish", "delete", "administer"]]
    conditions: list[Condition] = Field(default_factory=list)


class SchemaChange(Model):
    """A schema of custom metadata. Without a namespace it holds everywhere."""

    name: str
    version: str = "1.0.0"
    namespace: str = ""
    json_schema: dict[str, Any]
    applicable_to: list[str] = Field(default_factory=list)
    required: bool = False
    indexed_fields: list[IndexedField] = Field(default_factory=list)


class SchemaItem(Model):
    """A schema."""

    name: str
    version: str = "1.0.0"
    namespace: str = ""
    json_schema: dict[str, Any]
    applicable_to: list[str] = Field(default_factory=list)
    required: bool = False
    indexed_fields: list[IndexedField] = Field(default_factory=list)
    id: str


class SchemaList(Model):
    """The schemas that hold at a path."""

    items: list[SchemaItem]


class SearchItem(Model):
    """An artifact that was found, with its latest version."""

    repository: str
    kind: str
    name: str
    title: str
    version: str
    description: str
    digest: str
    keywords: list[str]
    license: str
    downloads: int
    stars: int
    publisher: Publisher
    state: str
    created: datetime.datetime
    updated: datetime.datetime
    score: float | None
    highlights: list[Highlight]


class SearchPage(Model):
    """A page of hits. `total` is how many there are; with `total_exact` false there are at least so many, and
    `facets` count those alone. `corrected` are words of the query that nothing has, with those that were looked
    for instead. With `relaxed` nothing has all words of the query, and these have some of them.
    """

    items: list[SearchItem]
    next: str | None
    total: int
    total_exact: bool
    facets: dict[str, list[FacetValue]]
    ranking: str
    corrected: dict[str, list[str]]
    relaxed: bool


class SessionView(Model):
    """A browser's session."""

    id: str
    address: str
    user_agent: str
    created_at: str
    seen_at: str
    current: bool


class SignatureItem(Model):
    """The GTypes of a version by name and its methods ("" is the artifact as a whole), in one spelling. Equal
    types have equal hashes, however they were written; `definitions` has each by its hash.
    """

    types: dict[str, str]
    methods: dict[str, MethodItem]
    definitions: dict[str, dict[str, Any]]


class Starred(Model):
    """How many stars there are, and whether yours is among them."""

    stars: int
    starred: bool


class StepItem(Model):
    """One rule that was asked."""

    rule: str
    outcome: str
    reason: str


class Suggestion(Model):
    """An artifact whose name or title goes on like that; `ranges` are the places in `repository`."""

    repository: str
    kind: str
    title: str
    ranges: list[tuple[int, int]]


class Suggestions(Model):
    """The best known first."""

    items: list[Suggestion]


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


class TransferChange(Model):
    """The new path of a repository, or of a namespace with all that is below it."""

    to: str


class Transferred(Model):
    """What was moved; the old names are still pulled until `redirect_until`."""

    repositories: list[str]
    redirect_until: datetime.datetime


class TypesPage(Model):
    """A page. Not `complete`: there were more candidates than are looked at; ask for something narrower."""

    items: list[MethodHit]
    next: str | None
    complete: bool


class TypesQuery(Model):
    """What a method shall take, and what it shall give: GTypes in any spelling. A list is several arguments."""

    takes: Any = None
    gives: Any = None
    definitions: dict[str, Any] = Field(default_factory=dict)
    kind: str | None = None
    limit: int = 20
    cursor: str = ""


class Verification(Model):
    """Where to put which token; `verified_at` once it was found there."""

    path: str
    method: str
    subject: str
    place: str
    token: str
    verified_at: datetime.datetime | None


class VerificationList(Model):
    """All proofs, asked for and found."""

    items: list[Verification]


class VerifyChange(Model):
    """The proof to look for. `subject` is a domain, or an organization at GitHub."""

    method: Literal["dns", "github"]
    subject: str


class Version(Model):
    """A tag of a repository. `version` where the tag is one; `states` tells what is behind `state`."""

    repository: str
    tag: str
    version: str | None
    digest: str
    kind: str
    state: str
    states: dict[str, dict[str, Any]]
    moved_at: datetime.datetime


class VersionDetail(Model):
    """With all that is known. `facts` is what the artifact says of itself, `overlay` what was said of it
    later.
    """

    repository: str
    tag: str
    version: str | None
    digest: str
    kind: str
    state: str
    states: dict[str, dict[str, Any]]
    moved_at: datetime.datetime
    media_type: str
    size: int
    facts: dict[str, Any]
    overlay: dict[str, Any]
    revision: int
    same_content: list[str]
    pushed_at: datetime.datetime
    pushed_by: str | None
